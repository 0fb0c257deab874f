# Writes OUT, a C file that defines `const char NAME[]` with the bytes of IN and a NUL.
#   cmake -D IN=file -D OUT=file.c -D NAME=name -P embed_text.cmake
file(READ ${IN} bytes HEX)
string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
file(WRITE ${OUT} "extern const char ${NAME}[];\nconst char ${NAME}[] = {\n${bytes}0};\n")
