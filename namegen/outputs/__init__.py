"""What lies in an output folder: its layout, the folders of models, the data sets, and how they are written."""
