"""Search settings on validation: python sweep.py experiment=clip_optimize sweep=clip_grid"""

import hydra
from omegaconf import DictConfig

from hallmark.engine.distributed.torchrun import one_command
from hallmark.engine.launch import collector_paused, readable_errors


@hydra.main(version_base="1.3", config_path="conf", config_name="sweep")
def main(config: DictConfig) -> None:
    from hallmark.engine.cached.answers import is_answered, sweep_note

    if is_answered(sweep_note(config)):
        return
    with collector_paused():
        from hallmark.engine.search.sweep import sweep  # torch loads here, once it is needed

    sweep(config)


if __name__ == "__main__":
    with one_command(), readable_errors("sweep"):
        main()
