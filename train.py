"""Fit one run, or a grid of runs with -m: python train.py experiment=clip_final"""

import hydra
from omegaconf import DictConfig

from hallmark.engine.distributed.torchrun import one_command
from hallmark.engine.launch import collector_paused, readable_errors


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(config: DictConfig) -> float:
    from hallmark.engine.repeats import is_done, train_repeats

    if is_done(config):
        return train_repeats(config)
    with collector_paused():
        from hallmark.engine.evaluate import train_and_analyze  # torch loads here, once it is needed

    return train_and_analyze(config)


if __name__ == "__main__":
    with one_command(), readable_errors("train"):
        main()
