"""The old address of `readers` and `writers`; it goes when nobody asks here."""

from echosynth.video.readers import DEFAULT_FPS as DEFAULT_FPS
from echosynth.video.readers import MAX_CLIP_PIXELS as MAX_CLIP_PIXELS
from echosynth.video.readers import MAX_FILE_BYTES as MAX_FILE_BYTES
from echosynth.video.readers import MAX_FPS as MAX_FPS
from echosynth.video.readers import MAX_FRAME_PIXELS as MAX_FRAME_PIXELS
from echosynth.video.readers import MAX_FRAMES as MAX_FRAMES
from echosynth.video.readers import load_image as load_image
from echosynth.video.readers import load_npy as load_npy
from echosynth.video.readers import load_video as load_video
from echosynth.video.writers import SYNTHETIC_NOTE as SYNTHETIC_NOTE
from echosynth.video.writers import write_avi as write_avi
from echosynth.video.writers import write_colour_gif as write_colour_gif
from echosynth.video.writers import write_gif as write_gif
from echosynth.video.writers import write_mp4 as write_mp4
from echosynth.video.writers import write_npz as write_npz
from echosynth.video.writers import write_png as write_png
