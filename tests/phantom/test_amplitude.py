"""Amplitudes agree with the plain formulas wherever a float32 has all its digits."""

import torch

from echosynth.phantom.amplitude import decay, edge, from_decibel, raised


def test_they_are_the_plain_formulas() -> None:
    x = torch.linspace(0, 55, 500)
    torch.testing.assert_close(decay(x), torch.exp(-x))
    torch.testing.assert_close(edge(x - 20, 0.5), torch.sigmoid((x - 20) / 0.5), atol=1e-20, rtol=1e-5)
    torch.testing.assert_close(from_decibel(x - 30), 10 ** ((x - 30) / 20))
    torch.testing.assert_close(raised(x, 2.4), x**2.4, atol=1e-9, rtol=1e-4)


def test_nothing_becomes_subnormal() -> None:
    far = torch.tensor([61.0, 95.0, 200.0, 1e30])
    for faint in (decay(far), edge(-far, 1.0), raised(torch.zeros(1), 2.0)):
        assert (faint > torch.finfo(torch.float32).tiny).all()
        assert (faint < 1e-17).all()
