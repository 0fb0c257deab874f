au BufRead,BufNewFile *.weir setfiletype weir
au FileType weir setlocal commentstring=//\ %s shiftwidth=2 expandtab textwidth=120
