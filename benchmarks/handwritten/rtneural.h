/* Canonical arrays in the layers of RTNeural, whose gates are in the same order. */
#include <algorithm>
#include <vector>

#include <RTNeural/RTNeural.h>

typedef std::vector<std::vector<float>> Rows;

static Rows rows(const float *array, int inputs, int columns) {
    Rows result;
    for (int row = 0; row < inputs; row++, array += columns)
        result.emplace_back(array, array + columns);
    return result;
}

template <typename Layer> static void load_lstm(Layer &layer, const float *const *arrays) {
    const int columns = 4 * Layer::out_size;
    layer.setWVals(rows(arrays[0], Layer::in_size, columns));
    layer.setUVals(rows(arrays[1], Layer::out_size, columns));
    layer.setBVals(std::vector<float>(arrays[2], arrays[2] + columns));
}

/* One output: its kernel is a row as it is a column. */
template <typename Layer> static void load_dense(Layer &layer, const float *const *arrays) {
    layer.setWeights(rows(arrays[0], 1, Layer::in_size));
    layer.setBias(arrays[1]);
}
