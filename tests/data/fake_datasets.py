"""Tiny datasets in the exact layouts that real ones have on disk; the pictures are fans of noise, no patients."""

from pathlib import Path

import nibabel
import numpy as np
import openpyxl

from echosynth.video.clip import EchoClip
from echosynth.video.sector import Sector
from echosynth.video.writers import write_avi


def make_fan(frames: int = 6, height: int = 180, width: int = 240, seed: int = 0) -> np.ndarray:
    """A scanner's screen: a fan of patches of noise and a burnt-in name, uint8 (T, H, W)."""
    patches = np.random.default_rng(seed).integers(10, 200, (frames, height // 5, width // 5), dtype=np.uint8)
    noise = patches.repeat(5, axis=1).repeat(5, axis=2)
    pixels = noise * Sector(width / 2, height / 18, -0.7, 0.7, height / 1.2).mask(height, width)
    pixels[:, 4:20, 4:60] = 255
    return pixels


def write_pediatric(root: Path, patients: int = 10, index_column: bool = False) -> Path:
    """EchoNet-Pediatric: names with .avi, folds, polygons (systole first), a clip without one, empty cells."""
    for view in ("A4C", "PSAX"):
        (root / view / "Videos").mkdir(parents=True)
        files, points = ["FileName,EF,Sex,Age,Weight,Height,Split"], ["FileName,X,Y,Frame"]
        for k in range(patients):
            name = f"CR{k:07d}-CR{k + 100:07d}-{k:06d}.avi"
            pixels = np.random.default_rng(k).integers(0, 255, (8, 112, 112), dtype=np.uint8)
            write_avi(root / view / "Videos" / name, EchoClip(pixels, 50.0), lossless=False)
            weight = "" if k == 0 else f"{10 + k}"
            files.append(f"{name},{50 + k},{'MF'[k % 2]},{k},{weight},{100 + k},{k % 10}")
            if k == 1:
                points += [f"{name},,,No Systolic", f"{name},,,No Diastolic"]
                continue
            for frame, size in ((5, 10), (2, 20)):  # systolic, then diastolic
                corners = [(40, 30), (40 + size, 30), (40 + size, 30 + 2 * size), (40, 30 + 2 * size)]
                points += [f"{name},{x},{y},{frame}" for x, y in corners]
        if index_column:
            files = [f",{files[0]}", *(f"{k},{line}" for k, line in enumerate(files[1:]))]
        (root / view / "FileList.csv").write_text("\n".join(files) + "\n")
        (root / view / "VolumeTracings.csv").write_text("\n".join(points) + "\n")
    return root


def write_camus(root: Path, patients: int = 4) -> Path:
    """CAMUS: half beats as (x, y, t) NIfTI with pixels half as high as wide, masks, cfg, official split."""
    fan = make_fan(frames=5, height=200, width=240)
    for k in range(1, patients + 1):
        folder = root / "database_nifti" / f"patient{k:04d}"
        folder.mkdir(parents=True)
        for view in ("2CH", "4CH"):
            first, last = (1, 5) if k % 2 else (5, 1)  # half of them run from systole to diastole
            info = {"ED": first, "ES": last, "NbFrame": 5, "Sex": "F", "Age": 50 + k, "ImageQuality": "Good"}
            info |= {"EF": 40 + k, "FrameRate": 48.5}
            (folder / f"Info_{view}.cfg").write_text("".join(f"{key}: {value}\n" for key, value in info.items()))
            tall = np.repeat(fan, 2, axis=1)  # stored twice as high
            labels = np.zeros_like(tall)
            labels[:, 100:300, 80:160] = 2
            labels[:, 120:280, 90:150] = 1
            labels[:, 300:340, 90:150] = 3
            for suffix, array in (("", tall), ("_gt", labels)):
                image = nibabel.nifti1.Nifti1Image(array.transpose(2, 1, 0), np.diag([0.308, 0.154, 1, 1]))
                nibabel.save(image, folder / f"patient{k:04d}_{view}_half_sequence{suffix}.nii.gz")
    split = root / "database_split"
    split.mkdir()
    names = [f"patient{k:04d}" for k in range(1, patients + 1)]
    for part, some in (("training", names[:-2]), ("validation", names[-2:-1]), ("testing", names[-1:])):
        (split / f"subgroup_{part}.txt").write_text("\n".join(some) + "\n")
    return root


def write_hmc_qu(root: Path) -> Path:
    """HMC-QU: screens as AVI, and an Excel table with a title row above its header."""
    folder = root / "HMC-QU" / "A4C"
    folder.mkdir(parents=True)
    names = ["ES0001_CH4_1", "ES0002_CH4_1", "ES0003_CH4_1"]
    for k, name in enumerate(names):
        write_avi(folder / f"{name}.avi", EchoClip(make_fan(seed=k), 25.0))
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["Apical four-chamber"])
    sheet.append(
        ["ECHO", "SEG1", "SEG2", "SEG3", "One cardiac-cycle frames", "LV Wall Ground-truth Segmentation Masks"]
    )
    sheet.append([names[0], "MI", "non-MI", "non-MI", 3, "\u00fc"])
    sheet.append([names[1], "non-MI", "non-MI", "non-MI", 1, None])
    sheet.append(["ES0009_CH4_1", "MI", "MI", "MI", 1, None])  # listed, not there
    book.save(root / "A4C.xlsx")
    return root
