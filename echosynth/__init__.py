"""echosynth: synthetic echocardiograms that can be trusted. Research only, not for diagnosis."""

__version__ = "0.1.0"
