" Vim syntax file
" Language: Weir

if exists("b:current_syntax")
  finish
endif

syn case match
syn keyword weirStatement let dim fn param state return
syn keyword weirControl for in if else scan carry while cond where
syn keyword weirOperatorWord as and or not
syn keyword weirDeclaration use block model entry step over rule bind plan train search cluster
syn keyword weirType f f16 bf16 f32 f64 f8e4m3 f8e5m2 i8 i16 i32 i64 u8 bool int float str dtype seq batch plain
syn keyword weirConstant true false training

syn match weirOperator "[-+*/%<>=!]"
syn match weirRange "\.\.\.\|\.\.=\|\.\."
syn match weirNumber "\<\d\+\%(\.\d\+\)\?\%([eE][+-]\?\d\+\)\?\%([KMGT]B/s\|[KMG]iB\|[KMGT]B\|min\|[num]s\|[kMGBshW]\)\?\>"
syn match weirFunction "\<\h\w*\ze("
syn match weirBlock "\<\u\w*\ze\s*{"
syn match weirEscape contained "\\[\\\"ntr]"
syn match weirCapture contained "{\%(\*\*\|\h\w*\)}"
syn region weirString start=+"+ end=+"\|$+ contains=weirEscape,weirCapture
syn match weirComment "//.*$" contains=weirTodo
syn match weirDoc "///\%(/\)\@!.*$"
syn keyword weirTodo contained NOTE

hi def link weirStatement Statement
hi def link weirControl Conditional
hi def link weirOperatorWord Operator
hi def link weirDeclaration Structure
hi def link weirType Type
hi def link weirConstant Boolean
hi def link weirOperator Operator
hi def link weirRange Operator
hi def link weirNumber Number
hi def link weirFunction Function
hi def link weirBlock Type
hi def link weirEscape SpecialChar
hi def link weirCapture Identifier
hi def link weirString String
hi def link weirComment Comment
hi def link weirDoc SpecialComment
hi def link weirTodo Todo

let b:current_syntax = "weir"
