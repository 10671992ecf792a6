"""What is demonstrated: the catalogue of failures, the labs that stage them and the judge."""
