"""Configurations: what was typed, what is stored, what may be built."""

from omegaconf import OmegaConf

from hallmark.engine.config.class_folders import class_folders

OmegaConf.register_new_resolver("class_folders", class_folders, replace=True)
