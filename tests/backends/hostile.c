/* Hostile calls of a network called NET, whose constants begin with CAP. Every buffer is exactly as
   large as the header says, so that the sanitizers see one float too much. */

#ifdef CAP_VOCABULARY
typedef int32_t CAP_number;
static const size_t CAP_width = 1;
static CAP_number CAP_value(size_t i, int kind) {
    return kind < 2 ? 0 : (CAP_number)((i * 7 + (size_t)kind) % CAP_VOCABULARY);
}
#else
typedef float CAP_number;
static const size_t CAP_width = CAP_FEATURES;
static CAP_number CAP_value(size_t i, int kind) {
    return kind == 0 ? MASK : kind == 1 ? hostile[i % 11] : hostile[i % 3];
}
#endif

static CAP_number *CAP_input(size_t steps, int kind) {
    CAP_number *x = (CAP_number *)malloc(steps * CAP_width * sizeof(CAP_number));

    for (size_t i = 0; i < steps * CAP_width; ++i) {
        x[i] = CAP_value(i, kind);
    }
    return x;
}

#ifdef CAP_WORKSPACE
/* Returns the status; the outputs must not depend on what was in the workspace. */
static int CAP_call(size_t steps, const CAP_number *x) {
    int status = 0;
    float *first[HEADS], *second[HEADS];

    for (int again = 0; again < 2; ++again) {
        float *workspace = (float *)malloc(CAP_WORKSPACE * sizeof(float));
        float **y = again ? second : first;
        const size_t sizes[HEADS] = {SIZES};

        for (size_t i = 0; i < CAP_WORKSPACE; ++i) {
            workspace[i] = again ? 1e30f : 0.0f;
        }
        for (size_t i = 0; i < HEADS; ++i) {
            y[i] = (float *)malloc(sizes[i] * sizeof(float));
            memset(y[i], 0, sizes[i] * sizeof(float));
        }
        status = NET_run(x, steps, POINTERS, workspace);
        free(workspace);
        if (again) {
            for (size_t i = 0; i < HEADS; ++i) {
                expect("NET: its workspace", memcmp(first[i], second[i], sizes[i] * sizeof(float)) == 0);
                free(first[i]);
                free(second[i]);
            }
        }
    }
    return status;
}

static void NET_check(void) {
    const size_t lengths[] = {CAP_MIN_STEPS, CAP_MIN_STEPS + 1, 16, 17, 33, CAP_MAX_STEPS};

    for (int kind = 0; kind < 3; ++kind) {
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; ++i) {
            const size_t steps = lengths[i];
            const int fits = steps >= CAP_MIN_STEPS && steps <= CAP_MAX_STEPS;
            CAP_number *x = CAP_input(steps, kind);

            expect("NET: a length", CAP_call(steps, x) == (fits ? CAP_OK : CAP_BAD_LENGTH));
#ifdef CAP_VOCABULARY
            for (size_t k = 0; fits && k < 4; ++k) {
                const int32_t tokens[] = {-1, INT32_MIN, CAP_VOCABULARY, INT32_MAX};

                x[k % 2 ? steps - 1 : 0] = tokens[k];
                expect("NET: a token", CAP_call(steps, x) == CAP_BAD_TOKEN);
            }
#endif
            free(x);
        }
    }
    {
        /* Nothing may be read or written. */
        float *y[HEADS] = {NULL};
        float *workspace = (float *)malloc(CAP_WORKSPACE * sizeof(float));

        expect("NET: no step", NET_run(NULL, CAP_MIN_STEPS - 1, POINTERS, workspace) == CAP_BAD_LENGTH);
        expect("NET: many", NET_run(NULL, CAP_MAX_STEPS + 1, POINTERS, workspace) == CAP_BAD_LENGTH);
        expect("NET: most", NET_run(NULL, (size_t)-1, POINTERS, workspace) == CAP_BAD_LENGTH);
        free(workspace);
    }
}
#else
static void NET_check(void) {
    for (int kind = 0; kind < 3; ++kind) {
        const size_t steps = 19;
        CAP_number *x = CAP_input(steps, kind), *one = CAP_input(1, kind);
        float *y = (float *)malloc((EACH ? steps : 1) * CAP_OUTPUTS * sizeof(float));
        float *last = (float *)malloc(CAP_OUTPUTS * sizeof(float));
        NET_state *state = (NET_state *)malloc(sizeof(NET_state));
        NET_state *other = (NET_state *)malloc(sizeof(NET_state));

        NET_reset(state);
        expect("NET: no step", NET_chunk(state, x, 0, y) == CAP_BAD_LENGTH);
        expect("NET: a chunk", NET_chunk(state, x, steps, y) == CAP_OK);
        NET_reset(other);
        for (size_t t = 0; t < steps; ++t) {
            memcpy(one, x + t * CAP_width, CAP_width * sizeof *x);
            expect("NET: a step", NET_step(other, one, last) == CAP_OK);
        }
        expect("NET: steps of a chunk",
               memcmp(y + (EACH ? steps - 1 : 0) * CAP_OUTPUTS, last,
                      CAP_OUTPUTS * sizeof(float)) == 0);
        expect("NET: its state", memcmp(state, other, sizeof *state) == 0);
#ifdef CAP_VOCABULARY
        for (size_t k = 0; k < 4; ++k) {
            const int32_t tokens[] = {-1, INT32_MIN, CAP_VOCABULARY, INT32_MAX};

            *one = tokens[k];
            expect("NET: a token", NET_step(state, one, last) == CAP_BAD_TOKEN);
            x[k] = tokens[k];
            expect("NET: a token in a chunk", NET_chunk(state, x, steps, y) == CAP_BAD_TOKEN);
            x[k] = 0;
        }
        expect("NET: a state that stays", memcmp(state, other, sizeof *state) == 0);
#endif
        free(x);
        free(one);
        free(y);
        free(last);
        free(state);
        free(other);
    }
}
#endif
