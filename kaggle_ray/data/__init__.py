"""What a competition is made of: its rows, files, folds and the layout of its submission."""
