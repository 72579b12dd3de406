"""``ntk-al campaign``: labeling campaigns for those without Python."""
