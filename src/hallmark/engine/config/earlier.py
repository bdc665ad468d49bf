"""Stored configurations of earlier versions, by the names and settings of this one."""

from typing import Any

_RENAMED = {
    "hallmark.analysis.classification.calibration.Calibration": (
        "hallmark.analysis.classification.calibration.ReliabilityDiagram"
    ),
    "hallmark.analysis.segmentation.oracle.Oracle": "hallmark.analysis.segmentation.oracle.ErrorDecomposition",
    "hallmark.engine.search.plans.Points": "hallmark.engine.search.plans.JobList",
    "hallmark.learning.encoders.clip.clip_towers": "hallmark.learning.encoders.clip.ClipEncoders",
    "hallmark.systems.refseg.proposers.sam.published_sam": "hallmark.systems.refseg.proposers.sam.PublishedSam",
    "hallmark.systems.refseg.sample.lexicon.synonyms": "hallmark.systems.refseg.sample.lexicon.Synonyms",
    "hallmark.systems.refseg.vlm.policies.Destructive": "hallmark.systems.refseg.vlm.policies.Adversarial",
    "hallmark.systems.refseg.vlm.policies.Injected": "hallmark.systems.refseg.vlm.policies.PromptInjection",
}
_MOVED = {
    f"hallmark.analysis.{old}": f"hallmark.analysis.{new}"
    for old, new in {
        "augment_images": "augmentation.augment_images",
        "augment_text": "augmentation.augment_text",
        "bootstrap": "segmentation.bootstrap",
        "calibration": "classification.calibration",
        "cases": "segmentation.cases",
        "cost": "segmentation.cost",
        "curves": "classification.curves",
        "loss_weights": "multitask.loss_weights",
        "oracle": "segmentation.oracle",
        "risk_coverage": "segmentation.risk_coverage",
        "size_buckets": "segmentation.size_buckets",
    }.items()
} | {
    "hallmark.learning.pictures": "hallmark.learning.callbacks.pictures",
    "hallmark.systems.refseg.vlm.budget": "hallmark.learning.language_model.budget",
    "hallmark.systems.sentiment.heads": "hallmark.learning.heads",
}
_CHARACTERS = "hallmark.systems.characters.data.CharactersDataModule"
_DESCRIBED = "hallmark.systems.characters.described.DescribedCharactersDataModule"
_OF_GENERATOR = "hallmark.systems.characters.generator.data.GeneratorDataModule"


def present_name(key: str, value: str) -> str:
    """The text at `key`; if that is a `_target_`, the name that the class has now."""
    if not key.endswith("_target_"):
        return value
    module, _, name = value.rpartition(".")
    moved = f"{_MOVED.get(module, module)}.{name}"
    return _RENAMED.get(moved, moved)


def with_present_data(values: Any) -> Any:
    """A configuration in which `data.target_class` is a setting of the data module of a generator alone.

    All data modules of characters had it. Descriptions never heeded it, and null left no rows out.
    """
    data = values.get("data")
    if (
        not isinstance(data, dict)
        or "target_class" not in data
        or data.get("_target_") not in (_CHARACTERS, _DESCRIBED)
    ):
        return values
    if data["_target_"] == _CHARACTERS and data["target_class"] is not None:
        return {**values, "data": {**data, "_target_": _OF_GENERATOR}}
    return {**values, "data": {name: value for name, value in data.items() if name != "target_class"}}
