"""How a regressor's landmarks are scored: where they are, and whether the heart they draw pumps what it should.

    loss = w_place * 10 |p - p*|                    mean over the points of a clip that are traced, shares of the side
         + w_volume * h(EF_discs - EF*)             h: smooth L1 in units of 10 EF points
         + w_agree * h(EF_discs - EF)
         + w_order * max(0, V_ES / V_ED - 1)

EF_discs follows from the endocardium's landmarks by the method of discs (cardiac/discs.py). The parts are those
that Echo-E3Net names; their weights are ours.
"""

import torch
import torch.nn.functional as F

from echosynth.cardiac.discs import disc_ef
from echosynth.config import StrictModel
from echosynth.training.tasks.masks import masked_mean

# Share of the side. Clips with a landmark further off learn from places alone: volume is a matter of lengths, so a long
# axis whose ends are exchanged is as good as the right one, and to turn it about leads through no volume at all.
NEAR = 0.15


class LandmarkWeights(StrictModel):
    """Weights of the parts.

    Attributes:
        place: of the landmarks' distance from their true places.
        volume: of the EF that they draw, against the true EF.
        agree: of the EF that they draw, against the regressor's EF.
        order: of a ventricle that is larger at end-systole than at end-diastole.
    """

    place: float = 1.0
    volume: float = 1.5
    agree: float = 0.1
    order: float = 0.1

    def compute(
        self, found: torch.Tensor, predicted: torch.Tensor, landmarks: torch.Tensor, ef: torch.Tensor
    ) -> torch.Tensor:
        """Score a batch.

        Args:
            found: landmarks (B, 2, 1 or 2, 21, 2, 2), of the endocardium and, where asked for, of the epicardium.
            predicted: EF (B,), per cent.
            landmarks: the true ones of both borders (B, 2, 2, 21, 2, 2), NaN where not known.
            ef: the true EF.
        """
        landmarks = landmarks[:, :, : found.shape[2]]
        known = ~landmarks.isnan()
        miss = 10 * (found - landmarks.nan_to_num()).abs()
        drawn = disc_ef(found[:, :, 0])
        distance = (found - landmarks.nan_to_num()).norm(dim=-1) * known.all(-1)
        near = distance.flatten(1).amax(1) < NEAR

        def differ(other: torch.Tensor) -> torch.Tensor:
            return (F.smooth_l1_loss(drawn / 10, other / 10, reduction="none") * near).mean()

        return (
            self.place * masked_mean(miss, known)
            + self.volume * differ(ef)
            + self.agree * differ(predicted)
            + self.order * (near * F.relu(-drawn / 100)).mean()
        )
