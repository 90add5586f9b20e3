"""NYU Depth v2 in every form that it is distributed in: labelled frames, trees, raw sequences, occlusion boundaries."""
