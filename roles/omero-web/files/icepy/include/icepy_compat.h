/*
 * What IcePy 3.6 still calls and newer Pythons no longer have, by the version that took it away.
 * Comes ahead of every source of the sdist, which itself stays as published.
 */
#if defined(__cplusplus) && !defined(ICEPY_COMPAT_H)
#define ICEPY_COMPAT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#if PY_VERSION_HEX >= 0x030B0000
/* 3.11 hides PyThreadState.frame, which IcePy reads for one purpose: the name of the running function. */
#include <frameobject.h>
struct IcePyThreadState
{
    PyFrameObject* frame;
};
static inline IcePyThreadState* icepy_thread_state()
{
    static thread_local IcePyThreadState state;
    state.frame = PyEval_GetFrame();
    return &state;
}
#undef PyThreadState_GET
#define PyThreadState_GET() icepy_thread_state()
#endif

#if PY_VERSION_HEX >= 0x030D0000
/* 3.13 removed the old names of the call and buffer protocols. */
#define PyEval_CallObject(callable, args) PyObject_CallObject(callable, args)
static inline int icepy_as_read_buffer(PyObject* object, const void** buffer, Py_ssize_t* length)
{
    Py_buffer view;
    if(PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) != 0)
    {
        return -1;
    }
    *buffer = view.buf;
    *length = view.len;
    /* As the removed function did: the caller holds the object, and so its memory. */
    PyBuffer_Release(&view);
    return 0;
}
#define PyObject_AsReadBuffer(object, buffer, length) icepy_as_read_buffer(object, buffer, length)
#endif

#endif
