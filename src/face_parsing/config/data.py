"""The config's sections about data: the pairs, further sets of them, and what augmentation does to them."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from face_parsing.config.networks import STRICT, Positive, Probability
from face_parsing.labels import group_labels


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Data:
    """Where the pairs lie and how they are read."""

    root: str = "data"
    """Folder with train/{images,masks} and, where they exist, val/{images,masks} and test/images."""
    val_stems: str | None = None
    """File with one stem a line: these training pairs are validated on. Only for data without val/."""
    val_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the training pairs that becomes the validation set where neither val/ nor val_stems is given."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of that share; a run saves its split and a resumed run reuses it."""
    all_pairs: bool = False
    """Train on the validation pairs too, and validate on none: the length is fixed beforehand, and what the last step
    leaves is the result."""
    fold: tuple[Positive, Positive] | None = None
    """[k, n]: validate on the k-th (from 1) of n equal parts of all pairs, and train on the others. train.py --folds n
    runs all of them."""
    max_pairs: Positive | None = None
    """Train on so many pairs at most, chosen by split_seed: fewer are always among more. External pairs come last."""
    size: Positive = 512
    """Height and width at which pairs are cached and evaluated, pixels. Others are resized when they are read."""
    classes: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    """A coarser task: its classes, in order, each with the names of the 19 it is made of, for example
    {background: [], eyes: [l_eye, r_eye]}. The first also gets every name not listed. Empty: all 19."""
    mask_ids: Literal["auto", "index", "palette"] = "auto"
    """Where a mask's ids come from: auto takes the indices or, where the palette says that an optimizer changed them,
    the colors; index and palette always take the one or the other."""
    repair_mirrored: bool = True
    """Swap left and right labels of training pairs that were mirrored without their labels being swapped."""
    repeat_threshold: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Images with a class that fewer than this share of images hold are drawn more often: by the square
    root of this share over the class's (repeat factor sampling, Gupta et al. 2019). 0 draws all alike."""
    synthetic_pairs: Annotated[int, Field(ge=0)] = 0
    """Where root does not exist yet, draw this many synthetic training faces into it (a sixth of it for
    validation, 8 for test). 0: never."""
    cache_gb: Annotated[float, Field(gt=0)] = 16.0
    """Memory for decoded pairs. A larger data set is decoded anew at each use, with a warning."""

    @model_validator(mode="after")
    def _groups(self) -> Data:
        try:
            group_labels(self.classes)
        except ValueError as error:
            raise ValueError(f"classes: {error}") from None
        return self

    @model_validator(mode="after")
    def _validated_on(self) -> Data:
        named = [key for key in ("val_stems", "all_pairs", "fold") if getattr(self, key)]
        if len(named) > 1:
            raise ValueError(f"{' and '.join(named)} are all set, but say different pairs to validate on; keep one")
        if self.fold is not None and not 1 <= self.fold[0] <= self.fold[1] >= 2:
            raise ValueError(f"fold is {list(self.fold)}; it is [k, n], the k-th of n parts, with n from 2 on")
        return self


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Augmentation:
    """What training does to a pair before the network sees it."""

    enabled: bool = True
    """False: pairs are only resized."""
    flip: Probability = 0.5
    """Probability of a mirrored pair, left and right labels swapped with it."""
    geometric: Probability = 0.9
    """Probability of a rotation, scale and shift."""
    rotate: Annotated[float, Field(ge=0, le=180)] = 20.0
    """Largest rotation, degrees."""
    scale: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (0.78, 1.28)
    """Smallest and largest scale."""
    shift: Probability = 0.12
    """Largest shift, as a share of the size."""
    color: Probability = 0.8
    """Probability of a change of brightness, contrast, saturation and hue."""
    color_strength: Probability = 0.3
    """Largest relative change of brightness, contrast and saturation; hue changes by a tenth of it."""
    grey: Probability = 0.05
    """Probability of a grey image."""
    noise: Probability = 0.15
    """Probability of Gaussian noise; half as probable each: a blur and a JPEG artefact."""
    occlusion: Probability = 0.15
    """Probability of one to four boxes in the image, their labels kept."""
    paste: Probability = 0.0
    """Probability that a face gets glasses, a hat, earrings or a necklace of another training face, if it has none."""
    retexture: Probability = 0.0
    """Probability, for each of background, hair and clothes, that it looks like another training face's: hair takes
    its colors alone."""
    hood: Probability = 0.0
    """Probability that a face without a hat gets a hood or a headscarf, of another training face's clothes."""
    people: Probability = 0.0
    """Probability that a person is cut out, hair and clothes with it, and laid over another training photo or its
    background: at 0.4 to 1.0 of the size, turned by up to 45 degrees, anywhere in it."""
    degrade: Probability = 0.0
    """Probability of a photo as a poor camera or poor light makes it: blurred, tiny and enlarged, dark and noisy, or of
    another gamma."""

    @model_validator(mode="after")
    def _scale_order(self) -> Augmentation:
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale is {list(self.scale)}; the smaller one comes first")
        return self


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ExternalData:
    """A further data set."""

    root: str
    """Folder laid out as data.root; its train/ pairs are trained on too."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """How often one of its pairs is drawn, over one of data.root."""
