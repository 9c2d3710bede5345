/* Which texts hold no secret, told fast (texts.c). */

#ifndef TRACEPATCH_TEXTS_H
#define TRACEPATCH_TEXTS_H

#include <stddef.h>

/* Whether nothing of what `secret_texts.suspect` looks for is in an ASCII text. Sure where it says yes; it may say no
   where `suspect` says no as well. */
int text_is_harmless(const unsigned char *text, size_t length);

/* Whether `secret_texts.find` finds nothing in a text, UTF-8, for sure. Where `=` or `:` stands in it, what would be asked
   about the names before them `ask` tells; without it, and where such a text is not ASCII, the answer is no. */
int text_is_searched(const unsigned char *text, size_t length, int (*ask)(void *, const char *, size_t), void *arg);

/* Whether the digits of a number may be those of a payment card: `secret_texts.is_card`. */
int number_is_card(unsigned long long number);

#endif
