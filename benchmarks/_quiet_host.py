"""The functions host without its line of log for each invocation, which Azure's host writes in another process."""

from __future__ import annotations

import logging

from emulator.functions_host.__main__ import main

if __name__ == "__main__":
    logging.getLogger("host").setLevel(logging.WARNING)
    main()
