"""Data module of pictures of characters."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from hallmark.checks import SettingError, require
from hallmark.data.generated import data_folder, data_requirement, origin_of
from hallmark.data.leakage import LeakageInputs
from hallmark.data.picture_module import PictureDataModule
from hallmark.data.problems import Problems, complete_policies
from hallmark.data.sampling import Transform
from hallmark.data.splits import SplitPlan
from hallmark.runs.metrics import MAIN
from hallmark.storage.requirements import Requirement
from hallmark.systems.characters.folders import SIZES, list_new, list_pictures, read_pictures
from hallmark.systems.characters.sample.world import KNOWN, generate

# Kinds of problems for which `keep` has a meaning: the pixels there are, both copies, both labels, the pixels whatever
# their metadata says.
REPAIRABLE = ("small_image", "repeated_image", "two_folders", "damaged_metadata")
KINDS = (*REPAIRABLE, "unreadable_image", "missing_file", "other_file", "empty_folder", "unsafe_path")


class CharactersDataModule(PictureDataModule):
    """Pictures of characters, a folder each.

    The columns of `samples` beside those of every data module: `info_path` and `slice_size`. A group is all pictures
    that show the same, such as neighbouring frames.

    Args:
        folder: one folder a character, as `list_pictures` reads them; None draws the sample world.
        sample: arguments of `sample.generate`; needed where `folder` is None.
        classes: names of the characters; other folders are left out.
        least_side: pixels of the shorter side below which a picture is the problem `small_image`.
        on_problem: policy by kind of problem.
        cache: root of decoded pictures and of the sample world.
        common: the other arguments of `DataModule`.
    """

    repairable: Sequence[str] = REPAIRABLE
    kinds: Sequence[str] = KINDS

    def __init__(
        self, *, folder: str | None, sample: Mapping[str, Any] | None, classes: Sequence[str],
        least_side: int, on_problem: Mapping[str, str], augment: Transform | None, cache: str, batch_size: int,
        num_workers: int, split: SplitPlan, leakage: str, seed: int,
    ) -> None:  # fmt: skip
        expected = "the folder that holds one for each character"
        self.folder = data_folder(folder, Path(cache), "characters", generate, sample, expected=expected)
        # First, because the names of the classes are those of its folders where none are given.
        require(self.folder.is_dir(), "folder", str(self.folder), f"{expected}; there is no such folder")
        if len(classes) < 2:
            folders = [path.name for path in self.folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
            require(
                len(folders) > 1 and len(classes) > 0, "folder", str(self.folder), f"{expected}, two or more of them"
            )
            raise SettingError("classes", list(classes), f"two or more of the folders in {self.folder}")
        super().__init__(
            cache=cache, classes={MAIN: classes}, batch_size=batch_size, num_workers=num_workers, augment=augment,
            split=split, leakage=leakage, seed=seed,
        )  # fmt: skip
        require(least_side >= 1, "least_side", least_side, "at least 1 pixel")
        self.least_side = least_side
        self.problems = Problems(complete_policies(on_problem, self.kinds, defaults={}), repairable=self.repairable)
        self.generated = origin_of(self.folder, "characters")

    @classmethod
    def requirements(cls, arguments: Mapping[str, Any]) -> list[Requirement]:
        """The folder of characters."""
        text = "pictures: a folder for each character, named as the character is"
        return [data_requirement(arguments["folder"], arguments["sample"], [], text=text)]

    @property
    def _characters(self) -> Path:
        return self.folder / KNOWN if self.generated else self.folder

    def read(self) -> tuple[pd.DataFrame, Problems]:
        rows = list_pictures(self._characters, self.classes[MAIN], self.problems)
        self._listed = rows["id"].tolist()
        samples, self._thumbnails = read_pictures(rows, self.problems, self.cache, least_side=self.least_side)
        return samples, self.problems

    def read_new(self, inputs: Sequence[Path]) -> tuple[pd.DataFrame, Problems]:
        """Pictures, and folders of them."""
        rows = list_new(inputs, self.problems)
        samples, self._thumbnails = read_pictures(
            rows, self.problems, self.cache, least_side=self.least_side, classes_known=False
        )
        return samples, self.problems

    @property
    def kept_classes(self) -> list[str]:
        """The classes whose rows `samples` may hold."""
        return self.classes[MAIN]

    def warnings(self) -> list[str]:
        """Characters of whom nothing is measured."""
        measured = {split: set(self.samples.loc[self.samples["split"] == split, "target"]) for split in ("val", "test")}
        return [
            f"no {split} row is of {', '.join(missing)}: too few pictures for a share of them"
            for split, names in measured.items()
            if names and (missing := [name for name in self.kept_classes if name not in names])
        ]

    def sources(self) -> list[Path]:
        return [self._characters]

    def metadata(self) -> dict[str, Any]:
        rows = self.samples
        groups = {"groups": int(rows["group"].nunique())} if len(rows) else {}
        numbers = {name: number for number, name in enumerate(self.classes[MAIN])}
        return {"source": str(self.folder), "rows": len(rows), **groups, "class_to_idx": numbers}

    def leakage_inputs(self) -> LeakageInputs:
        rows = self.samples
        return LeakageInputs(rows, grouped=True, files={"image": rows["content"].tolist()}, thumbnails=self._thumbnails)

    def slice_categories(self) -> dict[str, list[str]]:
        return {"slice_size": SIZES}
