"""Claims of the literature as data: run by the harness, judged from the files that the runs leave."""
