"""`python -m echosynth`, the same as `echosynth`."""

import sys

from echosynth.cli import main

sys.exit(main())
