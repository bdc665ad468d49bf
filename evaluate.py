"""Measure and explain a finished run: python evaluate.py run=outputs/clip_final/<id> analysis=[slices,curves]"""

import hydra
from omegaconf import DictConfig

from hallmark.engine.distributed.torchrun import one_command
from hallmark.engine.launch import collector_paused, readable_errors


@hydra.main(version_base="1.3", config_path="conf", config_name="evaluate")
def main(config: DictConfig) -> None:
    from hallmark.engine.cached.answers import evaluation_note, is_answered

    if is_answered(evaluation_note(config)):
        return
    with collector_paused():
        from hallmark.engine.evaluate import evaluate  # torch loads here, once it is needed

    evaluate(config)


if __name__ == "__main__":
    with one_command(), readable_errors("evaluate"):
        main()
