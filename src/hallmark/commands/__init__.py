"""The commands of `hallmark`, one module each: `add_arguments(parser)` and `run(arguments) -> exit code`."""
