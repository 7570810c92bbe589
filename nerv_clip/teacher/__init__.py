"""The frozen CLIP model, through open_clip, and its embeddings of frames and texts."""
