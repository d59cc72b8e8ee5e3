/* Translate dates in C, by a model in step form:

       generate WIDTH DATE...           the best that a beam of some width finds, greedy for 1
       generate -t TEMPERATURE DATE...  draw each character; a low temperature prefers likely ones

   greedy, sample and search fit any model whose chunks are tokens, and whose output is their
   log-probabilities: change the names in the first lines. Nothing is allocated. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "date_translator.h"

#define VOCABULARY DATE_TRANSLATOR_OUTPUTS
typedef date_translator_state model_state;
#define model_begin date_translator_begin
#define model_step date_translator_step

#define BEGIN 1
#define END 2
#define LONGEST 12 /* tokens of a target: a date and its end */
#define WIDEST 16  /* beams */

static const char source_characters[] = " 0123456789abcdefghijklmnopqrstuvwxyz,./-'"; /* from 1 */
static const char target_characters[] = "0123456789-";                               /* from 3 */

static size_t largest(const float *values, size_t count) {
    size_t best = 0;

    for (size_t i = 1; i < count; ++i) {
        best = values[i] > values[best] ? i : best;
    }
    return best;
}

/* The likeliest token after each other. All three return the number of tokens, with the end. */
static size_t greedy(model_state *state, int32_t tokens[LONGEST]) {
    float scores[VOCABULARY];
    int32_t token = BEGIN;
    size_t count = 0;

    while (count < LONGEST && token != END) {
        model_step(state, &token, scores);
        token = tokens[count++] = (int32_t)largest(scores, VOCABULARY);
    }
    return count;
}

/* A number from 0 to below 1, by xorshift; `random` is not 0. */
static float draw(uint32_t *random) {
    *random ^= *random << 13;
    *random ^= *random >> 17;
    *random ^= *random << 5;
    return (float)(*random >> 8) / 16777216.0f;
}

/* Tokens that are drawn with the probabilities softmax(scores / temperature). */
static size_t sample(
        model_state *state, float temperature, uint32_t *random, int32_t tokens[LONGEST]) {
    float scores[VOCABULARY];
    int32_t token = BEGIN;
    size_t count = 0;

    while (count < LONGEST && token != END) {
        model_step(state, &token, scores);
        const float highest = scores[largest(scores, VOCABULARY)];
        float total = 0.0f;
        for (size_t i = 0; i < VOCABULARY; ++i) {
            scores[i] = expf((scores[i] - highest) / temperature);
            total += scores[i];
        }
        float left = draw(random) * total;
        size_t chosen = 0;
        while (chosen + 1 < VOCABULARY && left >= scores[chosen]) {
            left -= scores[chosen++];
        }
        token = tokens[count++] = (int32_t)chosen;
    }
    return count;
}

typedef struct {
    model_state state; /* a copy of it goes on by itself */
    int32_t tokens[LONGEST];
    size_t count;
    float total; /* the log-probability of the tokens */
    int has_ended;
} beam;

/* The best sequence that a beam of some width finds: that with the highest mean log-probability of
   a token, its end included. */
static size_t search(const model_state *begun, size_t width, int32_t tokens[LONGEST]) {
    static beam beams[2][WIDEST]; /* before and after a step */
    static float sums[WIDEST * VOCABULARY], means[WIDEST * VOCABULARY];
    beam *now = beams[0], *next = beams[1];
    size_t beams_now = 1, running = 1;

    memset(&now[0], 0, sizeof now[0]);
    now[0].state = *begun;
    for (size_t step = 0; step < LONGEST && running > 0; ++step) {
        for (size_t row = 0; row < beams_now; ++row) {
            beam *const from = &now[row];
            float *const sum = sums + row * VOCABULARY;
            const int32_t last = from->count > 0 ? from->tokens[from->count - 1] : BEGIN;
            if (from->has_ended) {
                /* It goes on with END alone, which costs nothing. */
                for (size_t i = 0; i < VOCABULARY; ++i) {
                    sum[i] = i == END ? from->total : -INFINITY;
                }
            } else {
                model_step(&from->state, &last, sum);
                for (size_t i = 0; i < VOCABULARY; ++i) {
                    sum[i] += from->total;
                }
            }
            const size_t length = from->count + (from->has_ended ? 0 : 1);
            for (size_t i = 0; i < VOCABULARY; ++i) {
                means[row * VOCABULARY + i] = sum[i] / (float)length;
            }
        }
        const size_t candidates = beams_now * VOCABULARY;
        beams_now = running = 0;
        while (beams_now < width) {
            const size_t best = largest(means, candidates);
            if (means[best] <= -INFINITY) {
                break;
            }
            beam *const to = &next[beams_now++];
            *to = now[best / VOCABULARY];
            to->total = sums[best];
            if (!to->has_ended) {
                to->tokens[to->count++] = (int32_t)(best % VOCABULARY);
                to->has_ended = best % VOCABULARY == END;
            }
            running += to->has_ended ? 0 : 1;
            means[best] = -INFINITY;
        }
        beam *const before = now;
        now = next;
        next = before;
    }
    memcpy(tokens, now[0].tokens, sizeof now[0].tokens);
    return now[0].count;
}

/* Read the tokens of a text: their number, or 0 if a character is unknown or there are too many. */
static size_t read_source(const char *text, int32_t tokens[DATE_TRANSLATOR_SOURCE_MAX_STEPS]) {
    const size_t count = strlen(text);

    if (count > DATE_TRANSLATOR_SOURCE_MAX_STEPS) {
        return 0;
    }
    for (size_t i = 0; i < count; ++i) {
        const char *const place = strchr(source_characters, tolower((unsigned char)text[i]));
        if (!place) {
            return 0;
        }
        tokens[i] = 1 + (int32_t)(place - source_characters);
    }
    return count;
}

static void print_target(const int32_t *tokens, size_t count) {
    for (size_t i = 0; i < count && tokens[i] != END; ++i) {
        putchar(tokens[i] > END ? target_characters[tokens[i] - 3] : '?');
    }
    putchar('\n');
}

int main(int count, char **words) {
    static float workspace[DATE_TRANSLATOR_WORKSPACE];
    static model_state state;
    const int draws = count > 3 && strcmp(words[1], "-t") == 0;
    const float number = count > 2 ? strtof(words[draws ? 2 : 1], NULL) : 0.0f;
    uint32_t random = 1;

    if (!(number > 0.0f) || (!draws && (number < 1.0f || number > WIDEST))) {
        fprintf(stderr, "usage: generate WIDTH DATE..., with a width from 1 to %d\n"
                        "       generate -t TEMPERATURE DATE...\n", WIDEST);
        return 2;
    }
    for (int at = draws ? 3 : 2; at < count; ++at) {
        int32_t source[DATE_TRANSLATOR_SOURCE_MAX_STEPS], tokens[LONGEST];
        const size_t steps = read_source(words[at], source);
        if (steps == 0 || model_begin(&state, source, steps, workspace) != DATE_TRANSLATOR_OK) {
            fprintf(stderr, "'%s': expected 1 to %d characters of \"%s\"\n", words[at],
                    DATE_TRANSLATOR_SOURCE_MAX_STEPS, source_characters);
            return 1;
        }
        size_t length;
        if (draws) {
            length = sample(&state, number, &random, tokens);
        } else if (number < 2.0f) {
            length = greedy(&state, tokens);
        } else {
            length = search(&state, (size_t)number, tokens);
        }
        print_target(tokens, length);
    }
    return 0;
}
