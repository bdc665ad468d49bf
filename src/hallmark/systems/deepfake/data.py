"""Data module of real and forged videos, a frame a row."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from hallmark.checks import require
from hallmark.data.generated import data_folder, data_requirement, origin_of
from hallmark.data.leakage import LeakageInputs
from hallmark.data.picture_module import PictureDataModule
from hallmark.data.pictures import readable_pictures
from hallmark.data.problems import Problems, complete_policies
from hallmark.data.sampling import Transform
from hallmark.data.splits import SplitPlan
from hallmark.runs.metrics import MAIN
from hallmark.storage.requirements import Requirement
from hallmark.systems.deepfake.faces import FaceCrops
from hallmark.systems.deepfake.files import with_faces, with_frames
from hallmark.systems.deepfake.manifest import (
    CLASSES,
    VIDEOS,
    frame_ids,
    manifest_name,
    read_listed,
    thin_videos,
    video_groups,
)
from hallmark.systems.deepfake.metadata import LEAST_AUC, shortcuts
from hallmark.systems.deepfake.new_files import left_out, list_new
from hallmark.systems.deepfake.sample.world import generate
from hallmark.systems.deepfake.videos import has_decoder

# Kinds of problems for which `keep` has a meaning: a part of the frames, 8 bits of 16, gray as color, RGB for CMYK, the
# pixels whatever their metadata says, the whole picture, the largest face, the most plausible reading.
REPAIRABLE = (
    "many_frames", "deep_image", "gray_image", "cmyk_image", "damaged_metadata", "no_face", "several_faces",
    "uncertain_encoding",
)  # fmt: skip
KINDS = (
    *REPAIRABLE, "missing_file", "unreadable_image", "broken_video", "unknown_label", "unknown_split",
    "mixed_video", "empty_path", "empty_video", "duplicate_path", "unsafe_path", "unreadable_list",
)  # fmt: skip
LATER_KINDS = {"unreadable_list": "skip", "cmyk_image": "keep"}  # which runs of earlier versions do not name


class DeepfakeDataModule(PictureDataModule):
    """Frames of real and forged videos.

    The columns of `samples` beside those of every data module: `video`, `listed` (the split of its manifest, "" for
    none), `info_path` (of the crop, where faces are cropped), `info_video`, `info_faces` (how many were found, where
    they are looked for), `slice_method` (`real` of real rows) and `slice_quality`. A group is a video with
    all that share a source with it. The target 0 is real and 1 fake.

    Args:
        folder: manifests and frames as `read_listed` reads them; None generates the sample world.
        sample: arguments of `sample.generate`; needed where `folder` is None.
        labels: what labels other than real and fake mean: label → real or fake; None for no others.
        frames_per_video: at most so many frames of each, evenly spaced; None takes all.
        faces: crops the largest face of each picture; None takes whole pictures.
        on_problem: policy by kind of problem.
        cache: root of decoded pictures and of the sample world.
        augment: as in `DataModule`; `none` is what a model says for None.
        classes: real and fake, in this order: a score is the probability of fake.
        common: the other arguments of `DataModule`.
    """

    def __init__(
        self, *, folder: str | None, sample: Mapping[str, Any] | None, labels: Mapping[Any, str] | None,
        frames_per_video: int | None, faces: FaceCrops | None, on_problem: Mapping[str, str],
        augment: Transform | Literal["none"] | None, cache: str, classes: Sequence[str], batch_size: int,
        num_workers: int, split: SplitPlan, leakage: str, seed: int,
    ) -> None:  # fmt: skip
        super().__init__(
            cache=cache, classes={MAIN: classes}, batch_size=batch_size, num_workers=num_workers,
            augment=None if augment == "none" else augment, split=split,
            leakage=leakage, seed=seed,
        )  # fmt: skip
        require(tuple(classes) == CLASSES, "classes", list(classes), "[real, fake]: a score is the probability of fake")
        self.labels = {str(label).lower(): meaning for label, meaning in (labels or {}).items()}
        require(set(self.labels.values()) <= set(CLASSES), "labels", labels, "real or fake for each label")
        valid = frames_per_video is None or frames_per_video >= 1
        require(valid, "frames_per_video", frames_per_video, "at least 1, or null for all")
        policies = complete_policies(on_problem, KINDS, defaults=LATER_KINDS)
        self.problems = Problems(policies, repairable=REPAIRABLE)
        self.frames_per_video, self.faces = frames_per_video, faces
        expected = f"the folder of your {manifest_name('train')}, or of the folders real and fake"
        self.folder = data_folder(folder, self.cache, "deepfake", generate, sample, expected=expected)
        self.generated = origin_of(self.folder, "deepfake")

    @classmethod
    def requirements(cls, arguments: Mapping[str, Any]) -> list[Requirement]:
        """The folder of frames."""
        text = f"frames: {manifest_name('train')} (path,label,video) and the files it names, or the folders real, fake"
        folder = data_requirement(arguments["folder"], arguments["sample"], [], text=text)
        if arguments["folder"] is None or folder.problem or has_decoder():
            return [folder]
        files = Path(arguments["folder"]).expanduser().rglob("*")
        if not any(file.suffix.lower() in VIDEOS for file in files):
            return [folder]
        advice = "pip install 'hallmark-experiments[video]'"
        return [folder, Requirement("a decoder of videos", "PyAV is not installed", advice)]

    def read(self) -> tuple[pd.DataFrame, Problems]:
        rows = read_listed(self.folder, self.labels, self.problems)
        return self._samples(rows.assign(file=[str(self.folder / path) for path in rows["path"]])), self.problems

    def read_new(self, inputs: Sequence[Path]) -> tuple[pd.DataFrame, Problems]:
        """Pictures, videos, folders of frames and lists of them, as `list_new` reads them; `info_note` says of a video
        how many of its frames are left out."""
        listed = list_new(inputs, self.problems)
        samples = self._samples(listed[~listed["refused"].astype(bool)].drop(columns="refused").reset_index(drop=True))
        self._left_out = left_out(listed, self.problems.table())
        used, notes = samples.groupby("video").size(), {}
        for video, rows in self._left_out.groupby("video"):
            n = rows["id"].nunique()
            notes[video] = f"{n} of {n + used.get(video, 0)} frames left out: {_in_words(rows['kind'])}"
        return samples.assign(info_note=[notes.get(video, "") for video in samples["video"]]), self.problems

    def unanswered(self) -> pd.DataFrame:
        """By video, as answers are."""
        lost = self._left_out[~self._left_out["video"].isin(self.samples["video"])]
        kinds = lost.groupby("video", sort=False)["kind"].agg(_in_words)
        return pd.DataFrame({"id": kinds.index, "problem": kinds.to_numpy()}, dtype=object)

    def _samples(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The table of samples of all files of `rows` that can be read."""
        if self.frames_per_video is not None:
            rows = thin_videos(rows, self.frames_per_video, self.problems)
        rows = with_frames(rows, self.frames_per_video, self.problems, self.cache)
        doubts = ("deep_image", "gray_image", "cmyk_image", "damaged_metadata")
        rows, scans = readable_pictures(rows, self.problems, self.cache, name="path", doubts=doubts)
        rows, usable = with_faces(rows, self.faces, self.problems, self.cache)
        self._scans = scans[usable]
        real, method = rows["label"] == "real", rows["method"].where(rows["method"] != "", "fake")
        samples = pd.DataFrame({
            "id": frame_ids(rows), "group": video_groups(rows),
            "target": rows["label"].where(rows["label"] != "", None), "content": rows["content"],
            "source": rows["digest"], "video": rows["video"], "listed": rows["split"], "info_path": rows["file"],
            "info_video": rows["video"], "info_faces": rows["faces"], "slice_method": method.mask(real, "real"),
            "slice_quality": rows["quality"].replace("", "unknown"),
        })  # fmt: skip
        if self.faces is None:
            samples = samples.drop(columns="info_faces")
        return samples.astype(object)

    def warnings(self) -> list[str]:
        """Properties of files by which a small classifier tells real from fake, which a model would learn instead."""
        measured = (self.samples["split"] != "test") & self.samples["target"].notna()
        rows = self.samples[measured]
        measures = shortcuts(
            self._scans[measured.to_numpy()], (rows["target"] == CLASSES[1]).to_numpy(), rows["group"].tolist()
        )
        return [
            f"the {row.what} of the files alone tells real from fake: AUC {row.auc:.2f} on groups that the classifier "
            "did not see. Write all files anew in one format and size, or a model will learn this"
            for row in measures[measures["auc"] > LEAST_AUC].itertuples()
        ]

    def sources(self) -> list[Path]:
        return [self.folder]

    def metadata(self) -> dict[str, Any]:
        rows = self.samples
        counts = {"groups": "group", "videos": "video"} if len(rows) else {}
        return {
            "source": str(self.folder), "rows": len(rows),
            **{name: int(rows[column].nunique()) for name, column in counts.items()},
            "class_to_idx": {name: number for number, name in enumerate(self.classes[MAIN])}, "score": "P(fake)",
        }  # fmt: skip

    def leakage_inputs(self) -> LeakageInputs:
        rows = self.samples
        return LeakageInputs(
            rows, grouped=True, files={"image": rows["source"].tolist()}, thumbnails=self._scans["thumbnail"]
        )

    def slice_categories(self) -> dict[str, list[str]]:
        methods = dict.fromkeys(["real", *self.samples["slice_method"]])
        return {"slice_method": list(methods), "slice_quality": sorted(self.samples["slice_quality"].unique())}


def _in_words(kinds: "pd.Series[str]") -> str:
    return ", ".join(kind.replace("_", " ") for kind in dict.fromkeys(kinds))
