"""One file per command, between `cli.py` and the chapters. Each has `add_arguments(parser)` and `run(args)`.

A command returns the object that `--json` prints, or an exit code; everything else that it says goes to the terminal.
Beside the commands stand what several of them share:

sources      what a user names -> conditioning frames
loaded       names -> loaded cascade and regressors, with their hashes
run_folder   one output folder belongs to one run
progress     a bar on a terminal, plain lines elsewhere, always on stderr
production   frames and EFs -> gated clips on disk
gallery      manifest -> contact sheet and page
"""
