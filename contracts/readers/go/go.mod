module mkchannels.invalid/reader

go 1.26
