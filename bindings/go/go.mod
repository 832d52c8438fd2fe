module omma

go 1.21
