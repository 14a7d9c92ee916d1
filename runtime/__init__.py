"""From a video source to labelled windows: decode, sample, preprocess, infer."""
