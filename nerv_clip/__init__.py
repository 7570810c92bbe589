"""NeRV-CLIP: a video as one small network that plays it and knows what is in it."""
