// A program in text that uses every form of the language, for the tests of its reader.
#ifndef TESTS_PROGRAM_SAMPLE_H
#define TESTS_PROGRAM_SAMPLE_H

static const char program_sample[] =
    "program \"lm \\\"step\\\" \\\\ \\xc3\\xa9\" step\n"
    "sizes R, T, T.max, T.all.max, B, B.max, n, i, j\n"
    "symbol T seq 1..8192 by 2 grows\n"
    "symbol B batch 0..9223372036854775807\n"
    "symbol n plain 1..64\n"
    "input \"ids\" i32[T] ragged T bytes 4*T in 0..49151\n"
    "input \"scale\" f32[] bytes 4*R\n"
    "output \"logits\" f16[T, 49152, n/2 + 1] ragged T bytes 98304*T\n"
    "state \"blk.0.k\" f16 bytes 384 rows T panel 16 window 4096\n"
    "state \"h\" f32 bytes 4096 initial -0.5\n"
    "weight 0 \"token_embd\" bytes 1000\n"
    "weight 1 \"blk.0.attn_q\" bytes 0\n"
    "buffer 0 \"h\" bytes 4*576*T at 0\n"
    "buffer 1 \"q\" bytes 4*T at (4*576*T + 63)/64*64\n"
    "kernel 0 \"weir_copy\" args 2 dims 1\n"
    "kernel 1 \"weir_attn\" args 7 dims 3 scratch 65536\n"
    "launch 0 grid (T + 3)/4 args in0, b0 dims T cost 100*T, 200 note \"blk.0/copy\"\n"
    "loop i trips T.max + 1 while b1\n"
    "loop j trips i\n"
    "launch 0 grid j args in0, b0 dims i\n"
    "end\n"
    "launch 0 grid i args in0, b0 dims j sync when i in 1..9\n"
    "end\n"
    "launch 1 grid R args b0, state0, starts(T), requests(T), positions(T), past(T), out0 dims T, max(T.max, 1), "
    "min(T*-3, 5 - (T - 2)) sync when T.all.max%7*2 in -5..16\n"
    "arena 4*576*T + max(T, 64*R)\n";

#endif
