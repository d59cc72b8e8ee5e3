/* An LSTM in step form: one call for each sample. */
#include "amplifier.h"
#include "board.h"

static amplifier_state state;

int main(void) {
    const float x[AMPLIFIER_FEATURES] = {0.25f};
    float y[AMPLIFIER_OUTPUTS];
    const float difference = amplifier_self_test(&state, y);

    amplifier_reset(&state);
    board_start();
    amplifier_step(&state, x, y);
    const uint32_t instructions = board_stop();
    board_report(difference, instructions, sizeof state);
    return difference < 1e-6f ? 0 : 1;
}
