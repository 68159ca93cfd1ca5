"""METEOR and SPICE by the reference's own Java programs, which the extra `mmbench[java]` brings; never a look-alike."""
