"""``ntk-al label-studio``: campaigns whose labels are given in Label Studio."""
