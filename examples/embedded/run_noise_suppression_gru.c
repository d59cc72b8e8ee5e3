/* Three GRUs in step form: one call for each frame of 10 milliseconds. */
#include "board.h"
#include "noise_suppression_gru.h"

static noise_suppression_gru_state state;

int main(void) {
    static const float x[NOISE_SUPPRESSION_GRU_FEATURES] = {0.25f, -0.5f};
    float gains[NOISE_SUPPRESSION_GRU_DENOISE_OUTPUT_OUTPUTS];
    float speech[NOISE_SUPPRESSION_GRU_VAD_OUTPUT_OUTPUTS];
    const float difference = noise_suppression_gru_self_test(&state, gains, speech);

    noise_suppression_gru_reset(&state);
    board_start();
    noise_suppression_gru_step(&state, x, gains, speech);
    const uint32_t instructions = board_stop();
    board_report(difference, instructions, sizeof state);
    return difference < 1e-6f ? 0 : 1;
}
