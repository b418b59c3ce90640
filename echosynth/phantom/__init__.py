"""A simulated patient with an exact LVEF, seen by a simulated scanner: torch, batched, CPU and GPU.

    patient.py   who: anatomy, physiology, motion parameters, from one seed
    scanner.py   how it is looked at: pose, sector, depth, gain, grey map, from another seed
    noise.py     random fields that depend on seed and position only
    motion.py    time -> volume -> shape; exact by the 20-disc method
    anatomy.py   the end-diastolic atlas: echogenicity and scatterers
    acoustics.py echo, point-spread function, clutter, shadows, log compression
    render.py    all of it together -> uint8 clips and their truth
    simulate.py  patients -> a dataset in EchoNet format

A kinematic two-dimensional phantom. It holds no patient data and is not for clinical use.
"""
