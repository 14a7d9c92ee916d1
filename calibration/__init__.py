"""INT8 calibration on clips. Not written yet: the package only reserves its place in the layers."""
