"""``python -m mmbench`` is the command ``mmbench``."""

import sys

from mmbench.cli.main import main

sys.exit(main())
