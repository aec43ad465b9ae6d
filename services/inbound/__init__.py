"""Labels and images that other people's systems send: verified, kept as files of a loop, whatever their order."""
