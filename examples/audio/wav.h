/* Sound files: 16-bit PCM is read and written, 32-bit floats are written. */
#ifndef WAV_H
#define WAV_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    uint32_t rate;
    uint32_t channels;
    size_t frames;  /* samples of each channel */
    float *samples; /* frames x channels, from -1 to 1 */
} wav;

static inline uint32_t wav_number(const unsigned char *bytes, int count) {
    uint32_t number = 0;
    for (int i = count - 1; i >= 0; --i) {
        number = number << 8 | bytes[i];
    }
    return number;
}

/* Read the two chunks that matter, and skip others: NULL, or what is wrong. */
static inline const char *wav_read(FILE *file, wav *sound) {
    unsigned char head[16];
    if (fread(head, 1, 12, file) != 12 || memcmp(head, "RIFF", 4) || memcmp(head + 8, "WAVE", 4)) {
        return "expected a WAV file";
    }
    sound->channels = 0;
    while (fread(head, 1, 8, file) == 8) {
        const uint32_t size = wav_number(head + 4, 4);
        if (!memcmp(head, "fmt ", 4)) {
            if (size < 16 || fread(head, 1, 16, file) != 16 || wav_number(head, 2) != 1 ||
                wav_number(head + 14, 2) != 16) {
                return "expected 16-bit PCM";
            }
            sound->channels = wav_number(head + 2, 2);
            sound->rate = wav_number(head + 4, 4);
            fseek(file, (long)(size - 16 + size % 2), SEEK_CUR);
        } else if (!memcmp(head, "data", 4)) {
            if (sound->channels == 0) {
                return "expected a format before the samples";
            }
            sound->frames = size / 2 / sound->channels;
            const size_t count = sound->frames * sound->channels;
            unsigned char *bytes = malloc(2 * count + 1);
            sound->samples = malloc((count + 1) * sizeof(float));
            if (!bytes || !sound->samples || fread(bytes, 2, count, file) != count) {
                free(bytes);
                free(sound->samples);
                return "the samples end early";
            }
            for (size_t i = 0; i < count; ++i) {
                const uint32_t sample = wav_number(bytes + 2 * i, 2);
                sound->samples[i] = ((float)sample - (sample < 32768 ? 0.0f : 65536.0f)) / 32768.0f;
            }
            free(bytes);
            return NULL;
        } else {
            fseek(file, (long)size + (long)(size % 2), SEEK_CUR);
        }
    }
    return "expected samples";
}

static inline void wav_put(FILE *file, uint32_t number, int count) {
    for (int i = 0; i < count; ++i) {
        fputc((int)(number >> 8 * i & 255u), file);
    }
}

/* Write samples as 16-bit PCM, or as 32-bit floats: whether all could be written. */
static inline int wav_write(FILE *file, const wav *sound, uint32_t bits) {
    const uint32_t frame = sound->channels * bits / 8;
    const uint32_t size = (uint32_t)sound->frames * frame;
    fputs("RIFF", file);
    wav_put(file, 36 + size, 4);
    fputs("WAVEfmt ", file);
    wav_put(file, 16, 4);
    wav_put(file, bits == 16 ? 1 : 3, 2);
    wav_put(file, sound->channels, 2);
    wav_put(file, sound->rate, 4);
    wav_put(file, sound->rate * frame, 4);
    wav_put(file, frame, 2);
    wav_put(file, bits, 2);
    fputs("data", file);
    wav_put(file, size, 4);
    for (size_t i = 0; i < sound->frames * sound->channels; ++i) {
        uint32_t word;
        memcpy(&word, &sound->samples[i], sizeof word);
        wav_put(file, bits == 16 ? (uint32_t)(int32_t)(sound->samples[i] * 32767.0f) : word,
                (int)bits / 8);
    }
    return !ferror(file);
}

#endif
