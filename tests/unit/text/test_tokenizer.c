// Tokenizers from small descriptions made here: merging against a naive reference, special tokens, missing bytes,
// decoding, pre-tokenizers, normalisation, and what hostile descriptions and blobs do.
#include <criterion/criterion.h>
#include <jansson.h>

#include "runtime/text/byte_alphabet.h"
#include "runtime/text/pretokenizers.h"
#include "runtime/text/tokenizer_internal.h"
#include "runtime/text/utf8.h"

#define OK(expr)                                                        \
  do {                                                                  \
    weir_status status_ = (expr);                                       \
    cr_assert(!status_, "%s: %s", #expr, weir_status_message(status_)); \
  } while (0)

static uint64_t random_state = 1;
static uint32_t random_below(uint32_t limit) {
  random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
  return (uint32_t)(random_state >> 33) % limit;
}

// ---- building descriptions

// The character of the byte alphabet that stands for |byte|.
static size_t alphabet_char(unsigned byte, char out[4]) {
  for (uint32_t code = 0; code < 0x144; code++) {
    if (text_alphabet_byte(code) == (int)byte) return text_utf8_put(code, out);
  }
  cr_assert_fail("byte %u", byte);
  return 0;
}

static json_t *bpe_description(void) {
  json_t *root = json_pack("{ssss}", "format", "weir-tokenizer-1", "kind", "bpe"), *tokens = json_array();
  for (unsigned byte = 0; byte < 256; byte++) {
    char text[4];
    json_array_append_new(tokens, json_stringn(text, alphabet_char(byte, text)));
  }
  json_object_set_new(root, "tokens", tokens);
  json_object_set_new(root, "merges", json_array());
  return root;
}

static void add_token(json_t *root, const char *text) {
  json_array_append_new(json_object_get(root, "tokens"), json_string(text));
}

static void add_merge(json_t *root, const char *left, const char *right) {
  json_array_append_new(json_object_get(root, "merges"), json_sprintf("%s %s", left, right));
  json_array_append_new(json_object_get(root, "tokens"), json_sprintf("%s%s", left, right));
}

// All tokens normal, but for those from |first| on, which have the letters of |letters|.
static void set_types(json_t *root, size_t first, const char *letters) {
  size_t count = json_array_size(json_object_get(root, "tokens"));
  char *types = malloc(count);
  memset(types, 'n', count);
  memcpy(types + first, letters, strlen(letters));
  json_object_set_new(root, "types", json_stringn(types, count));
  free(types);
}

static weir_status try_create(json_t *root, text_tokenizer **out) {
  char *text = json_dumps(root, 0);
  weir_status status = text_tokenizer_create(text, strlen(text), out);
  free(text);
  json_decref(root);
  return status;
}

static text_tokenizer *create(json_t *root) {
  text_tokenizer *tokenizer = NULL;
  OK(try_create(root, &tokenizer));
  return tokenizer;
}

static void encodes_to(const text_tokenizer *tokenizer, const char *text, size_t size, text_encode_options options,
                       const char *expected) {
  text_ids ids = {0};
  char line[4096] = "";
  size_t at = 0;
  OK(text_encode(tokenizer, text, size, options, &ids));
  for (size_t i = 0; i < ids.count && at < sizeof line - 20; i++)
    at += (size_t)sprintf(line + at, "%s%d", i ? " " : "", ids.data[i]);
  cr_assert_str_eq(line, expected, "'%s' became %s, not %s", text, line, expected);
  text_ids_deinit(&ids);
}

// ---- merging

typedef struct {
  char left[20], right[20];
} rule;

// The pair of lowest rank, leftmost first, one merge at a time.
static size_t naive_merge(char pieces[][40], size_t count, const rule *rules, size_t rule_count) {
  for (;;) {
    size_t best = rule_count, where = 0;
    for (size_t i = 0; i + 1 < count; i++) {
      for (size_t r = 0; r < best; r++) {
        if (strcmp(pieces[i], rules[r].left) || strcmp(pieces[i + 1], rules[r].right)) continue;
        best = r;
        where = i;
      }
    }
    if (best == rule_count) return count;
    size_t length = strlen(pieces[where]);
    for (size_t i = 0; pieces[where + 1][i]; i++) pieces[where][length + i] = pieces[where + 1][i];
    memmove(pieces[where + 1], pieces[where + 2], (count - where - 2) * sizeof pieces[0]);
    count--;
  }
}

static size_t random_rules(json_t *root, rule *rules, size_t wanted) {
  char known[64][40] = {"a", "b", "c"};
  size_t known_count = 3, count = 0;
  while (count < wanted) {
    const char *left = known[random_below((uint32_t)known_count)], *right = known[random_below((uint32_t)known_count)];
    if (strlen(left) + strlen(right) > 8) continue;
    bool again = false;
    for (size_t i = 0; i < count; i++) again |= !strcmp(rules[i].left, left) && !strcmp(rules[i].right, right);
    if (again) continue;
    strcpy(rules[count].left, left);
    strcpy(rules[count].right, right);
    char joined[96];
    snprintf(joined, sizeof joined, "%s%s", left, right);
    bool is_known = false;
    for (size_t i = 0; i < known_count; i++) is_known |= !strcmp(known[i], joined);
    json_array_append_new(json_object_get(root, "merges"), json_sprintf("%s %s", left, right));
    if (!is_known) {
      strcpy(known[known_count++], joined);
      add_token(root, joined);
    }
    count++;
  }
  return count;
}

Test(bpe, merges_as_the_naive_reference) {
  for (int round = 0; round < 60; round++) {
    rule rules[24];
    json_t *root = bpe_description();
    size_t rule_count = random_rules(root, rules, 1 + random_below(24));
    text_tokenizer *tokenizer = create(root);
    for (int word = 0; word < 40; word++) {
      char text[64] = "", pieces[64][40] = {{0}};
      size_t size = 1 + random_below(60);
      for (size_t i = 0; i < size; i++) text[i] = pieces[i][0] = "abc"[random_below(3)];
      size_t count = naive_merge(pieces, size, rules, rule_count);
      text_ids ids = {0};
      OK(text_encode(tokenizer, text, size, (text_encode_options){0}, &ids));
      cr_assert_eq(ids.count, count, "%s", text);
      for (size_t i = 0; i < count; i++) {
        text_view bytes = text_tokenizer_token_bytes(tokenizer, ids.data[i]);
        cr_assert(bytes.size == strlen(pieces[i]) && !memcmp(bytes.bytes, pieces[i], bytes.size), "%s at %zu", text, i);
      }
      text_ids_deinit(&ids);
    }
    text_tokenizer_release(tokenizer);
  }
}

Test(bpe, a_long_piece_takes_linear_memory_and_little_time) {
  json_t *root = bpe_description();
  add_merge(root, "a", "a");
  add_merge(root, "aa", "aa");
  add_merge(root, "aaaa", "aaaa");
  add_merge(root, "b", "a");
  text_tokenizer *tokenizer = create(root);
  size_t size = 1 << 19;
  char *text = malloc(size);
  memset(text, 'a', size);
  text_ids ids = {0};
  OK(text_encode(tokenizer, text, size, (text_encode_options){0}, &ids));
  cr_assert_eq(ids.count, size / 8);
  for (size_t i = 0; i < ids.count; i++) cr_assert_eq(ids.data[i], 258);
  text_ids_deinit(&ids);
  free(text);
  text_tokenizer_release(tokenizer);
}

Test(bpe, any_bytes_come_back) {
  json_t *root = bpe_description();
  add_merge(root, "\u00c3", "\u00a9");  // the bytes of é
  add_merge(root, "\u00f0", "\u0141");  // F0 9F
  json_object_set_new(root, "pre", json_string("llama-bpe"));
  text_tokenizer *tokenizer = create(root);
  for (int round = 0; round < 2000; round++) {
    char text[80];
    size_t size = random_below(sizeof text);
    for (size_t i = 0; i < size; i++) {
      text[i] = (char)(random_below(3)
                           ? random_below(256)
                           : (uint32_t)(unsigned char)"\xC3\xA9\xF0\x9F\x98\x80 a1\xE2\x80\xED\xA0"[random_below(14)]);
    }
    text_ids ids = {0};
    text_buffer back = {0};
    OK(text_encode(tokenizer, text, size, (text_encode_options){.parse_special = round & 1}, &ids));
    OK(text_decode(tokenizer, ids.data, ids.count, (text_decode_options){0}, &back));
    cr_assert_eq(back.size, size);
    if (size) cr_assert_arr_eq(back.data, text, size);
    text_buffer_deinit(&back);
    text_ids_deinit(&ids);
  }
  text_tokenizer_release(tokenizer);
}

Test(bpe, bytes_without_a_token) {
  const text_encode_options plain = {0};
  for (int round = 0; round < 3; round++) {
    json_t *root = json_pack("{ssss s[sssss] s[sss] s{si} sb sb}", "format", "weir-tokenizer-1", "kind", "bpe",
                             "tokens", "a", "b", "ab", "<unk>", "cab", "merges", "a b", "x y", "c ab", "special", "unk",
                             3, "byte_unknown", round > 0, "fuse_unknown", round > 1);
    json_object_set_new(root, "types", json_string("nnnun"));
    text_tokenizer *tokenizer = create(root);
    encodes_to(tokenizer, "ab", 2, plain, "2");
    encodes_to(tokenizer,
               "a\x01"
               "b",
               3, plain, round ? "0 3 1" : "2");  // lost before anything merges
    encodes_to(tokenizer, "axyb", 4, plain,
               round == 0   ? "2"
               : round == 1 ? "0 3 3 1"
                            : "0 3 1");  // x y merges, but is no token
    encodes_to(tokenizer, "cabc", 4, plain, round == 0 ? "2" : "4 3");
    text_tokenizer_release(tokenizer);
  }
}

Test(bpe, ignore_merges_takes_whole_pieces) {
  for (int ignore = 0; ignore < 2; ignore++) {
    json_t *root = bpe_description();
    add_token(root, "abc");
    json_object_set_new(root, "ignore_merges", json_boolean(ignore));
    text_tokenizer *tokenizer = create(root);
    encodes_to(tokenizer, "abc", 3, (text_encode_options){0}, ignore ? "256" : "97 98 99");
    text_tokenizer_release(tokenizer);
  }
}

// ---- special tokens

static text_tokenizer *with_specials(void) {
  json_t *root = bpe_description();
  const char *const texts[] = {"<s>", "<s>x", "</s>", "<user>", "<us", "[MASK]"};
  for (int i = 0; i < 6; i++) add_token(root, texts[i]);
  set_types(root, 256, "ccccdd");
  json_object_set_new(root, "special", json_pack("{sisi}", "bos", 256, "eos", 258));
  json_object_set_new(root, "prefix", json_pack("[i]", 256));
  json_object_set_new(root, "suffix", json_pack("[ii]", 258, 258));
  json_object_set_new(root, "stop", json_pack("[ii]", 258, 259));
  json_object_set_new(root, "strip_left", json_pack("[i]", 261));
  json_object_set_new(root, "strip_right", json_pack("[i]", 261));
  json_object_set_new(root, "chat_template", json_string("{{ messages }}"));
  return create(root);
}

Test(special, longest_first_and_only_when_asked) {
  text_tokenizer *t = with_specials();
  const text_encode_options plain = {0}, parsed = {.parse_special = true};
  encodes_to(t, "<s>", 3, plain, "60 115 62");
  encodes_to(t, "<s>", 3, parsed, "256");
  encodes_to(t, "<s>xy", 5, parsed, "257 121");
  encodes_to(t, "a<s><s", 6, parsed, "97 256 60 115");
  encodes_to(t, "<user>", 6, parsed, "259");
  encodes_to(t, "<user>", 6, plain, "260 101 114 62");  // <us is always matched
  encodes_to(t, "a  [MASK]\xC2\xA0\n b", 14, plain, "97 261 98");
  encodes_to(t, " [MASK] ", 8, plain, "261");
  encodes_to(t, "<user>", 3, plain, "260");
  text_tokenizer_release(t);
}

Test(special, frame_and_limit) {
  text_tokenizer *t = with_specials();
  encodes_to(t, "ab", 2, (text_encode_options){.add_special = true}, "256 97 98 258 258");
  encodes_to(t, "", 0, (text_encode_options){.add_special = true}, "256 258 258");
  encodes_to(t, "abc", 3, (text_encode_options){.add_special = true, .max_ids = 4}, "256 97 258 258");
  encodes_to(t, "abc", 3, (text_encode_options){.max_ids = 2}, "97 98");
  text_tokenizer_release(t);
}

Test(special, facts) {
  text_tokenizer *t = with_specials();
  text_special_ids ids = text_tokenizer_special_ids(t);
  cr_assert(ids.bos == 256 && ids.eos == 258 && ids.unk == -1 && ids.mask == -1);
  cr_assert_eq(text_tokenizer_vocab_size(t), 262);
  cr_assert_eq(text_tokenizer_kind(t), TEXT_KIND_BPE);
  cr_assert(text_tokenizer_is_stop(t, 259) && !text_tokenizer_is_stop(t, 256));
  cr_assert_eq(text_tokenizer_find(t, "</s>", 4), 258);
  cr_assert_eq(text_tokenizer_find(t, " ", 1), 32);
  cr_assert_eq(text_tokenizer_find(t, "none", 4), -1);
  cr_assert_eq(text_tokenizer_token_type(t, 257), TEXT_TOKEN_CONTROL);
  cr_assert_eq(text_tokenizer_token_type(t, 261), TEXT_TOKEN_USER);
  cr_assert_eq(text_tokenizer_token_type(t, -1), TEXT_TOKEN_UNUSED);
  cr_assert_eq(text_tokenizer_token_bytes(t, 999).size, 0);
  text_view template = text_tokenizer_chat_template(t);
  cr_assert(template.size == 14 && !memcmp(template.bytes, "{{ messages }}", 14));
  text_tokenizer *second = text_tokenizer_retain(t);
  text_tokenizer_release(t);
  cr_assert_eq(text_tokenizer_vocab_size(second), 262);
  text_tokenizer_release(second);
}

// ---- decoding

Test(decode, a_stream_gives_whole_characters) {
  text_tokenizer *t = create(bpe_description());
  // é, a lone lead byte, 😀, a surrogate (three broken bytes), an unfinished €.
  const unsigned char bytes[] = {0xC3, 0xA9, 0xC3, 'x', 0xF0, 0x9F, 0x98, 0x80, 0xED, 0xA0, 0x80, 0xE2, 0x82};
  const char *const steps[] = {"", "é", "", "\uFFFDx", "", "", "", "😀", "", "\uFFFD\uFFFD", "\uFFFD", "", ""};
  text_stream_decoder decoder;
  text_buffer out = {0};
  text_stream_decoder_init(&decoder, t, (text_decode_options){0});
  for (size_t i = 0; i < sizeof bytes; i++) {
    text_buffer_clear(&out);
    OK(text_stream_decoder_feed(&decoder, bytes[i], &out));
    cr_assert(out.size == strlen(steps[i]) && !memcmp(out.data ? out.data : "", steps[i], out.size), "step %zu", i);
  }
  text_buffer_clear(&out);
  OK(text_stream_decoder_finish(&decoder, &out));
  cr_assert_eq(out.size, 3);
  OK(text_stream_decoder_finish(&decoder, &out));
  cr_assert_eq(out.size, 3);
  weir_status status = text_stream_decoder_feed(&decoder, 256, &out);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_OUT_OF_RANGE);
  weir_status_release(status);
  text_buffer_deinit(&out);
  text_tokenizer_release(t);
}

Test(decode, special_tokens_can_be_left_out) {
  text_tokenizer *t = with_specials();
  text_buffer out = {0};
  const int32_t ids[] = {256, 'h', 'i', 258, 260};
  OK(text_decode(t, ids, 5, (text_decode_options){.skip_special = true}, &out));
  cr_assert(out.size == 5 && !memcmp(out.data, "hi<us", 5));
  text_buffer_clear(&out);
  OK(text_decode(t, ids, 4, (text_decode_options){0}, &out));
  cr_assert(out.size == 9 && !memcmp(out.data, "<s>hi</s>", 9));
  text_buffer_deinit(&out);
  text_tokenizer_release(t);
}

// ---- pre-tokenizers

static char pieces_line[1024];

static weir_status note_piece(text_scratch *scratch, const char *piece, size_t size) {
  (void)scratch;
  size_t at = strlen(pieces_line);
  snprintf(pieces_line + at, sizeof pieces_line - at, "[%.*s]", (int)size, piece);
  return WEIR_OK;
}

static void splits_to(const char *pre, const char *text, const char *expected) {
  json_t *root = bpe_description();
  json_object_set_new(root, "pre", pre[0] == '[' ? json_loads(pre, 0, NULL) : json_string(pre));
  text_tokenizer *tokenizer = create(root);
  text_scratch scratch = {.tokenizer = tokenizer};
  pieces_line[0] = 0;
  OK(text_pretokenize(&scratch, text, strlen(text), note_piece));
  cr_expect_str_eq(pieces_line, expected, "%s: %s, not %s", pre, pieces_line, expected);
  for (size_t i = 0; i < TEXT_STEP_LIMIT; i++) pcre2_match_data_free(scratch.match[i]);
  pcre2_match_context_free(scratch.context);
  pcre2_jit_stack_free(scratch.stack);
  text_tokenizer_release(tokenizer);
}

Test(pretokenizer, named_ones) {
  const char text[] = "It's 12345 naïve  CODE_x\n\n\tend…";
  splits_to("gpt-2", text, "[It]['s][ 12345][ naïve][ ][ CODE][_][x][\n\n][\t][end][…]");
  splits_to("smollm", text, "[It]['s][ ][1][2][3][4][5][ naïve][ ][ CODE][_][x][\n\n][\t][end][…]");
  splits_to("llama-bpe", text, "[It]['s][ ][123][45][ naïve][ ][ CODE][_x][\n\n][\tend][…]");
  splits_to("qwen2", text, "[It]['s][ ][1][2][3][4][5][ naïve][ ][ CODE][_x][\n\n][\tend][…]");
  splits_to("gpt-4o", "McDonald's fooBAR/\n/x", "[Mc][Donald's][ foo][BAR][/\n/][x]");
  splits_to("tekken", "McDonald's 12", "[Mc][Donald]['s][ ][1][2]");
  splits_to("falcon", "a+=1234 b", "[a][+=][123][4][ b]");
  splits_to("bloom", "one two,three", "[one][ two][,][three]");
  splits_to("deepseek-coder", "a\nb 漢字x 12!", "[a][\n][b][ ][漢字][x][ ][1][2][!]");
  splits_to("gpt-2", "a\u180E\u2003b", "[a][\u180E][\u2003][b]");  // U+180E is no white space
  splits_to("gpt-2", "a \xFF\xC3 b", "[a][ ][\xFF\xC3][ b]");
}

Test(pretokenizer, written_ones) {
  splits_to("[{\"pattern\": \"-\", \"split\": \"isolated\"}]", "a--b", "[a][-][-][b]");
  splits_to("[{\"pattern\": \"-\", \"split\": \"removed\"}]", "a--b-", "[a][b]");
  splits_to("[{\"pattern\": \"-\", \"split\": \"contiguous\"}]", "a--b-", "[a][--][b][-]");
  splits_to("[{\"pattern\": \"[a-z]+\", \"split\": \"removed\", \"invert\": true}]", "12ab3cd", "[ab][cd]");
  splits_to("[{\"pattern\": \"[^\\\\s]+\"}, {\"pattern\": \"(?=b)b*\"}]", "abbc d", "[a][bb][c][ ][d]");
  splits_to("[{\"pattern\": \"x*\"}]", "axxb", "[a][xx][b]");
  splits_to("[]", "a b", "[a b]");
}

Test(pretokenizer, every_name_of_the_table_opens) {
  static const char *const names[] = {
#define PRETOKENIZER(name, patterns, form, flags) name,
#include "models/pretokenizers.def"
#undef PRETOKENIZER
  };
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    cr_assert_not_null(text_pretokenizer_find(names[i], strlen(names[i])));
    json_t *root = bpe_description();
    json_object_set_new(root, "pre", json_string(names[i]));
    text_tokenizer_release(create(root));
  }
}

Test(pretokenizer, a_pattern_that_explodes_gives_up) {
  json_t *root = bpe_description();
  json_object_set_new(root, "pre", json_loads("[{\"pattern\": \"((a|aa)+)+[^a]\"}]", 0, NULL));
  text_tokenizer *tokenizer = create(root);
  char text[201];
  memset(text, 'a', 200);
  text_ids ids = {0};
  weir_status status = text_encode(tokenizer, text, 200, (text_encode_options){0}, &ids);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_INVALID_DATA, "%s", weir_status_message(status));
  cr_assert_eq(ids.count, 0);
  weir_status_release(status);
  text_ids_deinit(&ids);
  text_tokenizer_release(tokenizer);
}

// ---- WordPiece and normalisation

static text_tokenizer *small_wordpiece(void) {
  const char *const texts[] = {"[UNK]", "[CLS]", "[SEP]", "un",      "##able", "##a", "##b",   "a",
                               "b",     "!",     "漢",    "strasse", "i",      "##̇",  "[MASK]"};
  json_t *root = json_pack("{ssss}", "format", "weir-tokenizer-1", "kind", "wordpiece"), *tokens = json_array();
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) json_array_append_new(tokens, json_string(texts[i]));
  json_object_set_new(root, "tokens", tokens);
  json_object_set_new(root, "types", json_string("uccnnnnnnnnnnnc"));
  json_object_set_new(root, "special", json_pack("{sisisi}", "unk", 0, "cls", 1, "sep", 2));
  json_object_set_new(root, "prefix", json_pack("[i]", 1));
  json_object_set_new(root, "suffix", json_pack("[i]", 2));
  json_object_set_new(root, "max_word_chars", json_integer(10));
  json_object_set_new(root, "normalizer",
                      json_pack("{sbsbsbsb}", "clean", 1, "cjk_spaces", 1, "strip_accents", 1, "lowercase", 1));
  return create(root);
}

Test(wordpiece, words_and_pieces) {
  text_tokenizer *t = small_wordpiece();
  const text_encode_options plain = {0};
  encodes_to(t, "Unable ab!a", 11, plain, "3 4 7 6 9 7");
  encodes_to(t, "unx", 3, plain, "0");
  encodes_to(t, "aaaaaaaaaa", 10, plain, "7 5 5 5 5 5 5 5 5 5");
  encodes_to(t, "aaaaaaaaaaa", 11, plain, "0");
  encodes_to(t, "a漢b", 5, plain, "7 10 8");
  encodes_to(t,
             "\xC3\x81\xCC\x81 \xFF"
             "a\0\x7F"
             "b\u200D",
             12, plain, "7 7 6");
  encodes_to(t, "İ", 2, plain, "12");
  encodes_to(t, "[MASK]", 6, (text_encode_options){.add_special = true, .parse_special = true}, "1 14 2");
  encodes_to(t, "a[MASK]b", 8, plain, "7 0 0 0 8");
  text_buffer out = {0};
  OK(text_decode(t, (int32_t[]){1, 3, 4, 7, 9, 2}, 6, (text_decode_options){.skip_special = true}, &out));
  cr_assert(out.size == 10 && !memcmp(out.data, "unable a !", 10), "%.*s", (int)out.size, out.data);
  text_buffer_deinit(&out);
  text_tokenizer_release(t);
}

Test(normalizer, forms) {
  static const struct {
    const char *form, *text, *expected;
  } cases[] = {{"nfc", "e\u0301 \xFF\u1112\u1161\u11AB", "é \xFF한"},
               {"nfd", "é", "e\u0301"},
               {"nfkc", "ﬁ①", "fi1"},
               {"none", "e\u0301", "e\u0301"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    json_t *root = bpe_description();
    json_object_set_new(root, "normalizer", json_pack("{ss}", "form", cases[i].form));
    text_tokenizer *t = create(root);
    text_ids ids = {0};
    text_buffer back = {0};
    OK(text_encode(t, cases[i].text, strlen(cases[i].text), (text_encode_options){0}, &ids));
    OK(text_decode(t, ids.data, ids.count, (text_decode_options){0}, &back));
    cr_assert(back.size == strlen(cases[i].expected) && !memcmp(back.data, cases[i].expected, back.size), "%s",
              cases[i].text);
    text_buffer_deinit(&back);
    text_ids_deinit(&ids);
    text_tokenizer_release(t);
  }
}

Test(normalizer, a_flood_of_marks_is_not_quadratic) {
  text_blob_header header = {.kind = TEXT_KIND_BPE, .form = TEXT_FORM_NFC};
  size_t size = 1 << 19;
  char *text = malloc(size);
  for (size_t i = 0; i < size; i += 4) memcpy(text + i, i % 8 ? "\u0301\u0301" : "\u0323\u0301", 4);
  text_buffer out = {0};
  OK(text_normalize(&header, text, size, &out));
  cr_assert_eq(out.size, size);
  text_buffer_deinit(&out);
  free(text);
}

// A wrong cut would leave something behind that a second pass still composes.
Test(normalizer, a_second_pass_over_a_long_text_changes_nothing) {
  text_blob_header header = {.kind = TEXT_KIND_BPE, .form = TEXT_FORM_NFC};
  const char *const parts[] = {"a", "é", "e\u0301", "\u1112\u1161\u11AB", "漢", " ", "\u0928\u093C", "o\u0323\u0302"};
  text_buffer text = {0}, out = {0}, expected = {0};
  for (int i = 0; i < 20000; i++) {
    const char *part = parts[random_below(i < 10000 ? 8 : 5)];  // then without spaces and marks on their own
    OK(text_buffer_append(&text, part, strlen(part)));
  }
  OK(text_normalize(&header, text.data, text.size, &out));
  OK(text_normalize(&header, out.data, out.size, &expected));
  cr_assert_eq(out.size, expected.size);
  cr_assert_arr_eq(out.data, expected.data, out.size);
  text_buffer_deinit(&text);
  text_buffer_deinit(&out);
  text_buffer_deinit(&expected);
}

// ---- hostile input

static void refused(const char *description, weir_code code, const char *word) {
  text_tokenizer *tokenizer = NULL;
  weir_status status = text_tokenizer_create(description, strlen(description), &tokenizer);
  cr_expect_eq(weir_status_code(status), code, "%s: %s", description, weir_status_message(status));
  cr_expect(strstr(weir_status_message(status), word), "%s: %s", description, weir_status_message(status));
  weir_status_release(status);
}

#define HEAD "{\"format\": \"weir-tokenizer-1\", \"kind\": \"bpe\", \"tokens\": [\"a\", \"b\"]"

Test(hostile, descriptions) {
  refused("", WEIR_CODE_INVALID_DATA, "description");
  refused("[]", WEIR_CODE_INVALID_DATA, "format");
  refused("{\"format\": \"weir-tokenizer-1\"}", WEIR_CODE_INVALID_DATA, "tokens");
  refused("{\"format\": \"weir-tokenizer-1\", \"tokens\": [1]}", WEIR_CODE_INVALID_DATA, "tokens");
  refused("{\"format\": \"weir-tokenizer-1\", \"kind\": \"spm\", \"tokens\": [\"a\"]}", WEIR_CODE_INVALID_DATA, "kind");
  refused(HEAD ", \"types\": \"n\"}", WEIR_CODE_INVALID_DATA, "types");
  refused(HEAD ", \"types\": \"nz\"}", WEIR_CODE_INVALID_DATA, "types");
  refused(HEAD ", \"merges\": [\"ab\"]}", WEIR_CODE_INVALID_DATA, "merge 0");
  refused(HEAD ", \"merges\": [\"a \"]}", WEIR_CODE_INVALID_DATA, "merge 0");
  refused(HEAD ", \"merges\": [7]}", WEIR_CODE_INVALID_DATA, "merge 0");
  refused(HEAD ", \"special\": {\"bos\": 2}}", WEIR_CODE_INVALID_DATA, "bos");
  refused(HEAD ", \"prefix\": [-1]}", WEIR_CODE_INVALID_DATA, "prefix");
  refused(HEAD ", \"stop\": [\"a\"]}", WEIR_CODE_INVALID_DATA, "stop");
  refused(HEAD ", \"byte_unknown\": true}", WEIR_CODE_INVALID_DATA, "unk");
  refused(HEAD ", \"pre\": \"nothing\"}", WEIR_CODE_UNSUPPORTED, "nothing");
  refused(HEAD ", \"pre\": [{\"pattern\": \"(\"}]}", WEIR_CODE_INVALID_DATA, "pattern");
  refused(HEAD ", \"pre\": [{\"pattern\": \"[a-z&&[^b]]\"}]}", WEIR_CODE_UNSUPPORTED, "class");
  refused(HEAD ", \"pre\": [{\"split\": \"isolated\"}]}", WEIR_CODE_INVALID_DATA, "pattern");
  refused(HEAD ", \"normalizer\": {\"form\": \"nfx\"}}", WEIR_CODE_INVALID_DATA, "form");
  refused(HEAD ", \"max_word_chars\": 100000}", WEIR_CODE_INVALID_DATA, "max_word_chars");
}

static text_buffer small_blob(void) {
  json_t *root = bpe_description();
  add_merge(root, "a", "b");
  add_token(root, "<x>");
  set_types(root, 257, "c");
  json_object_set_new(root, "pre", json_string("smollm"));
  char *text = json_dumps(root, 0);
  text_buffer blob = {0};
  OK(text_tokenizer_pack(text, strlen(text), &blob));
  free(text);
  json_decref(root);
  return blob;
}

// Uses everything that a blob which opened may make us touch.
static void exercise(const text_tokenizer *t) {
  text_ids ids = {0};
  text_buffer bytes = {0};
  weir_status status = text_encode(t, "abc <x> 12 \xFF é", 15, (text_encode_options){true, true, 0}, &ids);
  weir_status_release(status);
  status = text_decode(t, ids.data, ids.count, (text_decode_options){0}, &bytes);
  weir_status_release(status);
  for (int32_t id = 0; id < text_tokenizer_vocab_size(t) && id < 300; id++) (void)text_tokenizer_token_bytes(t, id);
  text_tokenizer_chat_template(t);
  text_ids_deinit(&ids);
  text_buffer_deinit(&bytes);
}

Test(hostile, cut_blobs_are_refused) {
  text_buffer blob = small_blob();
  for (size_t size = 0; size < blob.size; size += size < 600 ? 1 : 97) {
    char *copy = malloc(size ? size : 1);  // its own allocation, so that a sanitizer sees a read behind the end
    memcpy(copy, blob.data, size);
    text_tokenizer *tokenizer = NULL;
    weir_status status = text_tokenizer_open(copy, size, &tokenizer);
    cr_assert_eq(weir_status_code(status), WEIR_CODE_INVALID_DATA, "%zu", size);
    weir_status_release(status);
    free(copy);
  }
  text_buffer_deinit(&blob);
}

Test(hostile, flipped_blobs_are_refused_or_harmless) {
  text_buffer blob = small_blob();
  for (int round = 0; round < 1500; round++) {
    char *copy = malloc(blob.size);
    memcpy(copy, blob.data, blob.size);
    for (uint32_t flips = 1 + random_below(3); flips; flips--) {
      size_t at = random_below(2) ? random_below(sizeof(text_blob_header)) : random_below((uint32_t)blob.size);
      copy[at] = (char)(copy[at] ^ 1 << random_below(8));
    }
    text_tokenizer *tokenizer = NULL;
    weir_status status = text_tokenizer_open(copy, blob.size, &tokenizer);
    if (!status) {
      exercise(tokenizer);
      text_tokenizer_release(tokenizer);
    }
    weir_status_release(status);
    free(copy);
  }
  text_buffer_deinit(&blob);
}

Test(hostile, a_misaligned_blob_is_refused) {
  text_buffer blob = small_blob();
  text_tokenizer *tokenizer = NULL;
  weir_status status = text_tokenizer_open(blob.data + 1, blob.size - 1, &tokenizer);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_INVALID_ARGUMENT);
  weir_status_release(status);
  text_buffer_deinit(&blob);
}
