"""A simulated patient with an exact LVEF, seen by a simulated scanner: torch, batched, CPU and GPU.

    kinds.py            what can be asked for by name
    patient.py          who: anatomy, physiology, motion parameters
    population.py       patients, kinds of hearts and rhythms, and EF, each drawn from a seed
    scanner.py          how the patient is looked at: pose, sector, depth, gain, grey map, drawn from another seed
    view_families.py    the ranges that views are drawn from
    noise.py            random fields that depend on seed and position only
    motion.py           time -> volume -> shape; exact by the 20-disc method
    warp.py             shape -> where each point of the atlas moves
    anatomy.py          where chambers and walls lie at end-diastole
    atlas.py            their echogenicity and scatterers
    valves.py           leaflets
    acoustics.py        echo, point-spread function, clutter, shadows, log compression
    scan_conversion.py  polar grid -> picture
    render.py           all of it together -> uint8 clips and their truth
    maps.py contours.py truth per pixel, and as a reader would trace it
    plan.py simulate.py patients -> a dataset in EchoNet format

A kinematic two-dimensional phantom. It holds no patient data and is not for clinical use.
"""
