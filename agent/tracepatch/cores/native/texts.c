/* Which texts hold no secret: `suspect` and `is_card` of secret_texts.py once more.

   Whoever adds a shape to `_HINT` there adds it here; test_native_capture compares the two, also on texts that are made
   out of the expression itself. */

#include "texts.h"
#include <stdint.h>
#include <string.h>

#define SHORTEST_HINT 8   /* a shorter text has none of the shapes */
#define SHORTEST_CARD 13
#define LONGEST_SEARCHED 399 /* so few characters hold less than `MAX_PLACES` separators */
#define LONGEST_NAME 90      /* well below what `_after` looks back */

enum {
    DIGIT = 1,  /* of a card number */
    JOINT = 2,  /* may stand between two digits of one */
    ENDS = 4,   /* the last character of a shape, or the first of one */
    NAMES = 8,  /* stands between a name and its value */
};

static const unsigned char KINDS[256] = {
    ['0'] = DIGIT, ['1'] = DIGIT, ['2'] = DIGIT, ['3'] = DIGIT, ['4'] = DIGIT, ['5'] = DIGIT, ['6'] = DIGIT,
    ['7'] = DIGIT, ['8'] = DIGIT, ['9'] = DIGIT, [' '] = JOINT, ['-'] = JOINT | ENDS, ['='] = NAMES, [':'] = NAMES,
    ['%'] = ENDS, ['J'] = ENDS, ['A'] = ENDS, ['z'] = ENDS, ['_'] = ENDS, ['/'] = ENDS, ['\''] = ENDS, ['"'] = ENDS,
    ['.'] = ENDS, ['B'] = ENDS, ['b'] = ENDS,
};

/* Whether these characters stand before `at`, the last one first; a dot is any character. */
static int
behind(const unsigned char *text, size_t at, const char *reversed)
{
    for (; *reversed != '\0'; reversed++) {
        if (at == 0 || (text[--at] != (unsigned char)*reversed && *reversed != '.')) {
            return 0;
        }
    }
    return 1;
}

static int
behind_any(const unsigned char *text, size_t at, const char *const *shapes)
{
    for (; *shapes != NULL; shapes++) {
        if (behind(text, at, *shapes)) {
            return 1;
        }
    }
    return 0;
}

/* Whether lower-case letters follow, in whatever case. */
static int
follows(const unsigned char *text, size_t at, size_t length, const char *letters)
{
    for (at++; *letters != '\0'; letters++, at++) {
        if (at >= length || (text[at] | 0x20) != (unsigned char)*letters) {
            return 0;
        }
    }
    return 1;
}

static int
is_letter(unsigned char character)
{
    unsigned char lower = character | 0x20;
    return lower >= 'a' && lower <= 'z';
}

/* Whether a long option begins with the dash at `at`. */
static int
is_option(const unsigned char *text, size_t at, size_t length)
{
    if (at == 0 || text[at - 1] != '-') {
        return 0;
    }
    size_t next = at + 1 < length && text[at + 1] == '-' ? at + 2 : at + 1;
    return next < length && is_letter(text[next]);
}

/* Whether the tokens of a service begin with what ends in the underscore at `at`. All shapes are spelled backwards. */
static int
is_prefix(const unsigned char *text, size_t at)
{
    if (at < 2) {
        return 0;
    }
    switch (text[at - 1]) {
    case 'o':
    case 'p':
    case 's':
    case 'u':
    case 'r':
        if (behind(text, at - 1, "hg")) {
            return 1;
        }
        break;
    case 'k':
        if (text[at - 2] == 's' || text[at - 2] == 'r' || text[at - 2] == 'p') {
            return 1;
        }
        break;
    case 't':
        if (behind(text, at - 1, "ap_")) {
            return 1;
        }
        break;
    case 'm':
        if (behind(text, at - 1, "pn")) {
            return 1;
        }
        break;
    case 'f':
        if (text[at - 2] == 'h') {
            return 1;
        }
        break;
    case 'c':
        if (behind(text, at - 1, "eshw")) {
            return 1;
        }
        break;
    case '1':
        if (behind(text, at - 1, "v_pod")) {
            return 1;
        }
        break;
    default:
        break;
    }
    return behind(text, at, "..phs");
}

static const char *const BEFORE_DASH[] = {"taplg", "ks", ".xox", "ipyp", "----", NULL};
static const char *const BEFORE_QUOTE[] = {"[", "(", "b[", "b(", "u[", "u(", NULL};

/* Whether a shape of a secret ends or begins at a character that is marked `ENDS`. */
static int
is_shape(const unsigned char *text, size_t at, size_t length)
{
    switch (text[at]) {
    case '%':
        return at + 1 < length && (text[at + 1] == '2' || text[at + 1] == '3');
    case 'J':
        return behind(text, at, "ye");
    case 'A':
        return behind(text, at, "IKA") || behind(text, at, "ISA");
    case 'z':
        return behind(text, at, "IA");
    case '_':
        return is_prefix(text, at);
    case '-':
        return is_option(text, at, length) || behind_any(text, at, BEFORE_DASH);
    case '/':
        return behind(text, at, "<");
    case '\'':
    case '"':
        return behind_any(text, at, BEFORE_QUOTE);
    case '.':
        return behind(text, at, "92ay") || behind(text, at, "GS");
    case 'b':
    case 'B':
        return follows(text, at, length, "earer") || follows(text, at, length, "asic");
    default:
        return 1;
    }
}

/* All kinds that are in a text, and how many digits. */
static unsigned char
kinds_of(const unsigned char *text, size_t length, size_t *digits)
{
    unsigned char all = 0;
    *digits = 0;
    for (size_t at = 0; at < length; at++) {
        unsigned char kind = KINDS[text[at]];
        all |= kind;
        *digits += kind & DIGIT;
    }
    return all;
}

static int
has_shape(const unsigned char *text, size_t length)
{
    for (size_t at = 0; at < length; at++) {
        if ((KINDS[text[at]] & ENDS) && is_shape(text, at, length)) {
            return 1;
        }
    }
    return 0;
}

/* Whether digits stand in a row that may be a card number, at most one space or dash between two of them. */
static int
has_card(const unsigned char *text, size_t length)
{
    int digits = 0;
    for (size_t at = 0; at < length; at++) {
        unsigned char kind = KINDS[text[at]];
        if (kind & DIGIT) {
            if (++digits == SHORTEST_CARD) {
                return 1;
            }
        }
        else if (!(kind & JOINT) || at == 0 || !(KINDS[text[at - 1]] & DIGIT)) {
            digits = 0;
        }
    }
    return 0;
}

int
text_is_harmless(const unsigned char *text, size_t length)
{
    size_t digits;
    unsigned char all = kinds_of(text, length, &digits);
    return !(all & NAMES) && !((all & ENDS) && length >= SHORTEST_HINT && has_shape(text, length))
           && !(digits >= SHORTEST_CARD && has_card(text, length));
}

static int
is_of_word(unsigned char character)
{
    return is_letter(character) || (KINDS[character] & DIGIT) || character == '_' || character == '-';
}

/* Whether no secret stands behind the separator at `at`: `secret_texts._after`, for a text without `%` and `@`. */
static int
introduces_nothing(
    const unsigned char *text, size_t at, size_t length, int (*ask)(void *, const char *, size_t), void *arg)
{
    if (length - at > 2 && memcmp(text + at, "://", 3) == 0) {
        return 1; /* without `@` there is no password in a URL */
    }
    size_t start = at;
    while (start > 0 && (is_of_word(text[start - 1]) || text[start - 1] == '.')) {
        start--;
    }
    unsigned char before = start > 0 ? text[start - 1] : '\0';
    if (start == at) {
        /* No name; but quotes, brackets and spaces may stand between one and the separator. */
        return start == 0 || strchr(" \t\"'`\\])$[(", before) == NULL;
    }
    if (at - start > LONGEST_NAME || before == '$' || before == '[' || before == '('
        || (before == ' ' && start > 1 && is_of_word(text[start - 2]))) {
        return 0; /* more belongs to the name, or it ends a phrase */
    }
    const char *name = (const char *)text + start;
    return !(at - start == 4 && memcmp(name, "name", 4) == 0) && ask(arg, name, at - start);
}

int
text_is_searched(const unsigned char *text, size_t length, int (*ask)(void *, const char *, size_t), void *arg)
{
    size_t digits;
    unsigned char all = kinds_of(text, length, &digits);
    if (length > LONGEST_SEARCHED || ((all & ENDS) && has_shape(text, length))
        || (digits >= SHORTEST_CARD && has_card(text, length))) {
        return 0;
    }
    if (!(all & NAMES) || ask == NULL) {
        return !(all & NAMES);
    }
    for (size_t at = 0; at < length; at++) {
        if (text[at] == '%' || text[at] == '@' || text[at] == '\0' || (text[at] == 'c' && follows(text, at, length, "url"))) {
            return 0;
        }
    }
    for (size_t at = 0; at < length; at++) {
        if ((KINDS[text[at]] & NAMES) && !introduces_nothing(text, at, length, ask, arg)) {
            return 0;
        }
    }
    return 1;
}

int
number_is_card(unsigned long long number)
{
    if (number < 1000000000000ULL || number >= 10000000000000000000ULL) {
        return 0;
    }
    int place = 0, total = 0, digit = 0;
    unsigned long long first = 0;
    for (; number != 0; number /= 10, place++) {
        if (number < 10000 && first == 0) {
            first = number;  /* the first four digits */
        }
        digit = (int)(number % 10);
        if (place & 1) {
            digit *= 2;
            total += digit > 9 ? digit - 9 : digit;
            digit /= 2;
        }
        else {
            total += digit;
        }
    }
    if (digit < 2 || digit > 6 || (digit == 2 && !(place == 16 && first >= 2221 && first <= 2720))) {
        return 0;
    }
    return total % 10 == 0;
}
